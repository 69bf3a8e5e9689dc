"""Accuracy and verifier calls of every strategy, at each number of samples and at each number of clusters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metamath_ray.evaluation.orderings import (
    OF_TOP_CLUSTERS,
    accuracies,
    accuracies_by_clusters,
    draw_positions,
    exact_at_one,
    sizes_up_to,
    tally,
    with_all,
)
from metamath_ray.evaluation.pass_at_k import pass_at_sizes
from metamath_ray.evaluation.problem_samples import NO_VOTE, Floats, SampleTable
from metamath_ray.evaluation.resampling import NUM_RESAMPLES
from metamath_ray.evaluation.results import ChosenSettings, ClusterPoint, Estimate, Point
from metamath_ray.evaluation.settings import cluster_numbers
from metamath_ray.reranking import Strategy

NUM_ORDERINGS = 64

Key = tuple[str, int]
"""A metric, and k, K or the place of a confidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How finely expectations and intervals are estimated.

    Attributes:
        num_orderings: Random orderings of a problem's samples.
        num_resamples: Resamples of the problems.
    """

    num_orderings: int = NUM_ORDERINGS
    num_resamples: int = NUM_RESAMPLES
    seed: int = 0


class Curves:
    """Accuracies and verifier calls of each problem, at each k, and at each K with all samples."""

    def __init__(self, table: SampleTable, settings: ChosenSettings, precision: Precision) -> None:
        self._table, self._settings, self._precision = table, settings, precision
        self._is_scored = table.is_scored
        self._sizes = sizes_up_to(table.num_samples)
        self._strategies = [one for one in Strategy if self._is_scored or not one.needs_scores]
        most = max(len(problem.cluster_is_correct) for problem in table.problems)
        self._cluster_numbers = cluster_numbers(most) if self._is_scored else np.zeros(0, dtype=np.int64)
        self._num_problems = len(table.problems)
        names = ["pass_at_k", *(strategy.value for strategy in self._strategies)]
        self._accuracy = {name: np.zeros((self._num_problems, len(self._sizes))) for name in names}
        self._calls = {name: np.zeros(len(self._sizes)) for name in names}
        shape = self._num_problems, len(self._cluster_numbers)
        self._by_clusters = {name: np.zeros(shape) for name in (*OF_TOP_CLUSTERS, "oracle")}
        self._cluster_calls = np.zeros(shape[1])
        for place in range(self._num_problems):
            self._add(place)

    def _add(self, place: int) -> None:
        problem = self._table.problems[place]
        positions = draw_positions(problem, self._precision.num_orderings, self._precision.seed)
        counted = tally(problem, positions, self._sizes, use_scores=self._is_scored)
        accuracy, calls = accuracies(
            problem,
            counted,
            self._strategies,
            num_clusters=self._settings.num_clusters,
            num_best=self._settings.num_best,
        )
        is_one, at_one = self._sizes == 1, exact_at_one(problem)
        votes = np.mean(problem.cluster != NO_VOTE)
        self._accuracy["pass_at_k"][place] = pass_at_sizes(problem.is_correct, self._sizes)
        for strategy in self._strategies:
            self._accuracy[strategy][place] = np.where(is_one, at_one, accuracy[strategy])
            self._calls[strategy] += np.where(is_one, votes * strategy.needs_scores, calls[strategy])
        if self._is_scored:
            by_clusters, cluster_calls = accuracies_by_clusters(problem, with_all(counted), self._cluster_numbers)
            self._cluster_calls += cluster_calls
            for name, values in by_clusters.items():
                self._by_clusters[name][place] = values

    def columns(self) -> dict[Key, Floats]:
        """Return every metric as one value a problem, by name and k, or by "name, K" and K."""
        found: dict[Key, Floats] = {}
        for name, values in self._accuracy.items():
            found |= {(name, int(k)): values[:, column] for column, k in enumerate(self._sizes)}
        for name, values in self._by_clusters.items():
            found |= {(f"{name}, K", int(k)): values[:, column] for column, k in enumerate(self._cluster_numbers)}
        return found

    def with_all_samples(self) -> dict[str, Floats]:
        """Return the values of each problem at k = N, and those of one sample."""
        found = {name: values[:, -1] for name, values in self._accuracy.items()}
        return {"pass_at_1": self._accuracy["pass_at_k"][:, 0]} | found

    def points(self, found: Mapping[Key, Estimate]) -> dict[str, tuple[Point, ...]]:
        """Return the curves."""
        return {
            name: tuple(
                Point(
                    num_samples=int(k),
                    accuracy=found[name, int(k)],
                    num_verifier_calls=float(self._calls[name][column]) / self._num_problems,
                )
                for column, k in enumerate(self._sizes)
            )
            for name in self._accuracy
        }

    def cluster_points(self, found: Mapping[Key, Estimate]) -> tuple[ClusterPoint, ...]:
        """Return the accuracy by K."""
        return tuple(
            ClusterPoint(
                num_clusters=int(k),
                accuracy={name: found[f"{name}, K", int(k)] for name in self._by_clusters},
                num_verifier_calls=float(self._cluster_calls[column]) / self._num_problems,
            )
            for column, k in enumerate(self._cluster_numbers)
        )
