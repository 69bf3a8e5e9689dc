"""K and N of the strategies: chosen on samples of a validation set, or the paper's; never on what is evaluated."""

import numpy as np

from metamath_ray.evaluation.orderings import (
    OF_TOP_CLUSTERS,
    Tally,
    accuracies,
    accuracies_by_clusters,
    draw_positions,
    tally,
)
from metamath_ray.evaluation.problem_samples import Floats, Ints, ProblemSamples, SampleTable
from metamath_ray.evaluation.results import ChosenSettings
from metamath_ray.reranking import Strategy

DEFAULT_SETTINGS = ChosenSettings(num_clusters=8, num_best=16, chosen_on=None)
"""2310.10047: 8 clusters; N is the solve service's default."""

_PLACES = 9
"""Accuracies that agree to so many places are a tie."""


def cluster_numbers(most: int) -> Ints:
    """Return K = 1, 2, 3, 4, 6, 8, 12, 16, … as far as there are clusters, the last one covering all of them."""
    doubling = 2 ** np.arange(max(1, most).bit_length() + 1)
    numbers = np.unique(np.concatenate([doubling, doubling[1:] + doubling[1:] // 2]))
    return numbers[: int(np.searchsorted(numbers, max(1, most))) + 1]


def choose_settings(table: SampleTable, name: str, *, num_orderings: int, seed: int) -> ChosenSettings:
    """Choose K and N on a validation set by the accuracy at all its samples; the smallest of equally good ones.

    One K serves both strategies that look at the largest clusters: the best one on their average.

    Returns:
        The defaults where the samples have no scores, for then nothing depends on K and N.
    """
    if not table.is_scored:
        return DEFAULT_SETTINGS
    num_clusters = cluster_numbers(max(len(problem.cluster_is_correct) for problem in table.problems))
    num_best = 2 ** np.arange(table.num_samples.bit_length())
    by_clusters, by_best = np.zeros(len(num_clusters)), np.zeros(len(num_best))
    for problem in table.problems:
        positions = draw_positions(problem, num_orderings, seed)
        counted = tally(problem, positions, np.array([table.num_samples]), use_scores=True)
        of_top, _ = accuracies_by_clusters(problem, counted, num_clusters)
        by_clusters += sum(of_top[strategy] for strategy in OF_TOP_CLUSTERS)
        by_best += [_of_best(problem, counted, int(number)) for number in num_best]
    return ChosenSettings(
        num_clusters=_smallest_best(num_clusters, by_clusters / len(table.problems)),
        num_best=_smallest_best(num_best, by_best / len(table.problems)),
        chosen_on=name,
    )


def _of_best(problem: ProblemSamples, counted: Tally, num_best: int) -> float:
    """Return how often the majority of the N best is right with all samples."""
    best = (Strategy.MAJORITY_OF_BEST,)
    accuracy, _ = accuracies(problem, counted, best, num_clusters=1, num_best=num_best)
    return float(accuracy[Strategy.MAJORITY_OF_BEST][0])


def _smallest_best(values: Ints, accuracy: Floats) -> int:
    return int(values[np.argmax(np.round(accuracy, _PLACES))])
