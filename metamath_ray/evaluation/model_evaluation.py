"""One model on one set of problems: every figure that its table of samples gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from metamath_ray.errors import DataError
from metamath_ray.evaluation.breakdown import groups
from metamath_ray.evaluation.curves import Curves, Key, Precision
from metamath_ray.evaluation.problem_samples import NO_VOTE, Floats, SampleTable
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.evaluation.replay import CONFIDENCES, Replayed, replay
from metamath_ray.evaluation.resampling import estimates
from metamath_ray.evaluation.results import (
    ChosenSettings,
    Estimate,
    Evaluation,
    Rates,
    StopPoint,
    TrainingRows,
)
from metamath_ray.evaluation.settings import DEFAULT_SETTINGS, choose_settings
from metamath_ray.evaluation.verifier_figures import check_scores, verifier_figures
from metamath_ray.reranking import Strategy

ADAPTIVE_CONFIDENCE = 0.95
"""The confidence at which adaptive sampling is compared with all samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """The tables of one model, as batches of `storage.samples.SAMPLE_SCHEMA`.

    Attributes:
        greedy: One greedy sample for each problem.
        validation: Samples of other problems, on which K and N are chosen.
        validation_name: What the results call these.
        manifest: What the samples' run says of itself.
        training_rows: What its model says it was trained on.
    """

    samples: Iterable[pa.RecordBatch]
    greedy: Iterable[pa.RecordBatch] | None = None
    validation: Iterable[pa.RecordBatch] | None = None
    validation_name: str = "validation"
    manifest: Mapping[str, Any] = field(default_factory=dict)
    training_rows: TrainingRows = field(default_factory=TrainingRows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An evaluation with what comparisons and the check of training rows need beside it.

    Attributes:
        gained_by_stopping: Strategy → accuracy of each problem under adaptive sampling at `ADAPTIVE_CONFIDENCE`, less
            that of all samples in the same orderings.
        questions: In the order of the problems.
    """

    evaluation: Evaluation
    gained_by_stopping: Mapping[str, Floats]
    questions: tuple[str, ...]


def evaluate_model(name: str, tables: SampleSet, precision: Precision) -> Measured:
    """Evaluate one model.

    Raises:
        DataError: A table is empty or malformed, a score is not a probability, or a problem has no greedy sample.
    """
    table = read_problem_samples(tables.samples, name)
    check_scores(table.problems, name)
    greedy = None if tables.greedy is None else _greedy(table, tables.greedy, f"{name}, greedy")
    settings = _settings(tables, name, precision)
    curves = Curves(table, settings, precision)
    replayed = replay(table.problems, _replayed(table), num_samples=table.num_samples, seed=precision.seed)
    found = _estimated(table, curves, replayed, greedy, precision)
    by_problem = curves.with_all_samples() | ({} if greedy is None else {"greedy": greedy})
    evaluation = Evaluation(
        name=name,
        model=table.model,
        prompt_set_hash=table.prompt_set_hash,
        num_problems=len(table.problems),
        num_samples=table.num_samples,
        greedy=found.get(("greedy", 0)),
        curves=curves.points(found),
        settings=settings,
        cluster_points=curves.cluster_points(found),
        replay=_replay_points(replayed, found),
        verifier=verifier_figures(table.problems, num_resamples=precision.num_resamples, seed=precision.seed),
        groups=groups(table.problems, by_problem, num_resamples=precision.num_resamples, seed=precision.seed),
        rates=_rates(table),
        num_tokens=found.get(("tokens", 0)),
        problem_ids=tuple(problem.problem_id for problem in table.problems),
        by_problem={metric: tuple(values.tolist()) for metric, values in by_problem.items()},
        manifest=tables.manifest,
    )
    place = CONFIDENCES.index(ADAPTIVE_CONFIDENCE)
    return Measured(
        evaluation=evaluation,
        gained_by_stopping={
            strategy.value: one.accuracy[:, place] - one.with_all for strategy, one in replayed.items()
        },
        questions=tuple(problem.question for problem in table.problems),
    )


def _settings(tables: SampleSet, name: str, precision: Precision) -> ChosenSettings:
    if tables.validation is None:
        return DEFAULT_SETTINGS
    validation = read_problem_samples(tables.validation, f"{name}, validation")
    check_scores(validation.problems, f"{name}, validation")
    return choose_settings(
        validation, tables.validation_name, num_orderings=precision.num_orderings, seed=precision.seed
    )


def _greedy(table: SampleTable, batches: Iterable[pa.RecordBatch], name: str) -> Floats:
    """Return whether the greedy solution of each problem is correct; further problems are left out."""
    greedy = read_problem_samples(batches, name)
    if greedy.model != table.model:
        raise DataError(f"{name}: samples of model {greedy.model!r}, but the others are of {table.model!r}")
    by_id = {problem.problem_id: problem for problem in greedy.problems}
    missing = [problem.problem_id for problem in table.problems if problem.problem_id not in by_id]
    if missing:
        raise DataError(f"{name}: {len(missing)} problems have no greedy sample, the first is {missing[0]}")
    if greedy.num_samples != max(problem.num_samples for problem in greedy.problems) or greedy.num_samples != 1:
        raise DataError(f"{name}: expected one greedy sample a problem, got more")
    return np.array([float(by_id[problem.problem_id].is_correct[0]) for problem in table.problems])


def _replayed(table: SampleTable) -> list[Strategy]:
    return [Strategy.MAJORITY_VOTE, Strategy.WEIGHTED_VOTE] if table.is_scored else [Strategy.MAJORITY_VOTE]


def _estimated(
    table: SampleTable,
    curves: Curves,
    replayed: Mapping[Strategy, Replayed],
    greedy: Floats | None,
    precision: Precision,
) -> dict[Key, Estimate]:
    """Bootstrap everything that is a mean over problems, at once."""
    columns = curves.columns()
    for strategy, one in replayed.items():
        for place in range(len(CONFIDENCES)):
            columns[f"{strategy.value}, adaptive", place] = one.accuracy[:, place]
            columns[f"{strategy.value}, drawn", place] = one.num_samples[:, place]
    if greedy is not None:
        columns["greedy", 0] = greedy
    tokens = np.array([problem.num_tokens.mean() for problem in table.problems]) * table.num_samples
    if not np.isnan(tokens).any():
        columns["tokens", 0] = tokens
    return estimates(columns, num_resamples=precision.num_resamples, seed=precision.seed)


def _replay_points(
    replayed: Mapping[Strategy, Replayed], found: Mapping[Key, Estimate]
) -> dict[str, tuple[StopPoint, ...]]:
    return {
        strategy.value: tuple(
            StopPoint(
                confidence=confidence,
                accuracy=found[f"{strategy.value}, adaptive", place],
                num_samples=found[f"{strategy.value}, drawn", place],
            )
            for place, confidence in enumerate(CONFIDENCES)
        )
        for strategy in replayed
    }


def _rates(table: SampleTable) -> Rates:
    def share(counts: Iterable[Any]) -> float:
        return float(sum(int(count.sum()) for count in counts) / total)

    total = sum(problem.num_samples for problem in table.problems)
    problems = table.problems
    unparsed = ((problem.cluster == NO_VOTE) & ~problem.is_truncated for problem in problems)
    return Rates(
        unparsed=share(unparsed),
        truncated=None if table.num_finish_unknown else share(problem.is_truncated for problem in problems),
        timed_out=None if table.num_unexplained else table.num_timed_out / total,
        undecided=share(problem.is_undecided for problem in problems),
        duplicate=share(problem.is_duplicate for problem in problems),
        inconsistent=sum(problem.is_inconsistent for problem in problems) / len(problems),
    )
