"""Differences on the same problems: between models, and between two ways to use one model's samples."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metamath_ray.evaluation.curves import Precision
from metamath_ray.evaluation.model_evaluation import ADAPTIVE_CONFIDENCE, Measured
from metamath_ray.evaluation.problem_samples import Floats
from metamath_ray.evaluation.resampling import estimates, p_values
from metamath_ray.evaluation.results import Comparison, Evaluation

_ACROSS_MODELS = ("greedy", "pass_at_1", "majority_vote", "weighted_vote")
_WITHIN_A_MODEL = (
    ("pass_at_1", "majority_vote"),
    ("majority_vote", "weighted_vote"),
    ("weighted_vote", "weighted_vote_top_clusters"),
)

Names = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two metrics, on the problems that both have."""

    names: Names
    problem_ids: tuple[str, ...]
    difference: Floats


def compare(measured: Sequence[Measured], precision: Precision) -> tuple[Comparison, ...]:
    """Compare every model with the first and with the one before it, and within each its strategies, step by step.

    Two models without a common problem are not compared.
    """
    pairs = [*_across_models(measured), *(pair for one in measured for pair in _within(one))]
    by_problems: dict[tuple[str, ...], dict[Names, Floats]] = defaultdict(dict)
    for pair in pairs:
        by_problems[pair.problem_ids][pair.names] = pair.difference
    found: dict[Names, Comparison] = {}
    for problem_ids, differences in by_problems.items():
        found |= _compared(differences, len(problem_ids), precision)
    return tuple(found[pair.names] for pair in pairs)


def _compared(differences: Mapping[Names, Floats], num_problems: int, precision: Precision) -> dict[Names, Comparison]:
    intervals = estimates(differences, num_resamples=precision.num_resamples, seed=precision.seed)
    probabilities = p_values(differences, seed=precision.seed)
    return {
        names: Comparison(
            first=names[0],
            second=names[1],
            num_problems=num_problems,
            difference=intervals[names],
            p_value=probabilities[names],
        )
        for names in differences
    }


def _across_models(measured: Sequence[Measured]) -> Iterator[_Pair]:
    models = [one.evaluation for one in measured]
    for place, other in enumerate(models[1:], start=1):
        yield from _between(models[0], other)
        if place > 1:
            yield from _between(models[place - 1], other)


def _between(first: Evaluation, second: Evaluation) -> Iterator[_Pair]:
    places = {problem_id: place for place, problem_id in enumerate(second.problem_ids)}
    common = [(place, places[one]) for place, one in enumerate(first.problem_ids) if one in places]
    if not common:
        return
    here, there = (list(side) for side in zip(*common, strict=True))
    for metric in (metric for metric in _metrics(first) if metric in _metrics(second)):
        yield _Pair(
            names=(f"{first.name}: {metric}", f"{second.name}: {metric}"),
            problem_ids=tuple(first.problem_ids[place] for place in here),
            difference=np.array(second.by_problem[metric])[there] - np.array(first.by_problem[metric])[here],
        )


def _metrics(one: Evaluation) -> list[str]:
    """Return what a model is compared by; of a single sample, the vote is that sample."""
    asked = _ACROSS_MODELS if one.num_samples > 1 else ("greedy",) if "greedy" in one.by_problem else ("pass_at_1",)
    return [metric for metric in asked if metric in one.by_problem]


def _within(measured: Measured) -> Iterator[_Pair]:
    evaluation = measured.evaluation
    if evaluation.num_samples == 1:
        return
    values = {metric: np.array(column) for metric, column in evaluation.by_problem.items()}
    differences = {
        (first, second): values[second] - values[first]
        for first, second in _WITHIN_A_MODEL
        if first in values and second in values
    }
    for strategy, gain in measured.gained_by_stopping.items():
        differences[strategy, f"{strategy}, adaptive at {ADAPTIVE_CONFIDENCE}"] = gain
    for (first, second), difference in differences.items():
        yield _Pair(
            names=(f"{evaluation.name}: {first}", f"{evaluation.name}: {second}"),
            problem_ids=evaluation.problem_ids,
            difference=difference,
        )
