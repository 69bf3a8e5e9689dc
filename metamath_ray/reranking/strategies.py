"""From clusters of equal answers and a verifier's scores to one answer (arXiv 2310.10047, section 3.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import fsum

from metamath_ray.errors import ConfigError, DataError
from metamath_ray.types import AnswerCluster


class Strategy(StrEnum):
    """How one cluster is chosen; the paper's name stands behind each."""

    MAJORITY_VOTE = "majority_vote"  # Maj1
    BEST_OF_N = "best_of_n"  # RR.All
    BEST_OF_TOP_CLUSTERS = "best_of_top_clusters"  # RR.MajK
    WEIGHTED_VOTE = "weighted_vote"  # W.RR
    WEIGHTED_VOTE_TOP_CLUSTERS = "weighted_vote_top_clusters"  # W.RR.MajK
    MAJORITY_OF_BEST = "majority_of_best"  # Maj1.TopN

    @property
    def needs_scores(self) -> bool:
        """Whether a verifier has to score solutions."""
        return self is not Strategy.MAJORITY_VOTE

    @property
    def needs_top_clusters_alone(self) -> bool:
        """Whether only the solutions of the largest clusters are scored and can be chosen."""
        return self in (Strategy.BEST_OF_TOP_CLUSTERS, Strategy.WEIGHTED_VOTE_TOP_CLUSTERS)

    @property
    def takes_the_best(self) -> bool:
        """Whether a single solution decides, and not a sum over its cluster."""
        return self in (Strategy.BEST_OF_N, Strategy.BEST_OF_TOP_CLUSTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a strategy chose.

    Attributes:
        cluster: Index into the clusters given; None when there are none.
        sample: The solution shown: the best-scored member of that cluster, without scores its earliest.
        confidence: Share of the deciding weight that the chosen cluster holds, from 0 to 1.
        weights: Each cluster's deciding weight, in the order given.
    """

    cluster: int | None
    sample: int | None
    confidence: float
    weights: tuple[float, ...]


def choose(
    clusters: Sequence[AnswerCluster],
    scores: Mapping[int, float],
    strategy: Strategy,
    *,
    num_clusters: int = 8,
    num_best: int = 16,
) -> Choice:
    """Choose a cluster, and a solution in it; the order of the clusters does not matter.

    What decides is the largest weight: the number of votes (majority vote), the best S of a member (best of …), the sum
    of S (weighted vote …) or the number of members among the best N (majority of best). On a tie the larger sum of S
    wins, then more votes, then the earliest member.

    A member without a score weighs the mean of the scores that there are; without any score at all, every strategy is
    the majority vote. So a deadline that comes before the verifier still leaves an answer.

    Args:
        clusters: Groups of sample indices, as `cluster_answers` gives them.
        scores: S of samples, from 0 to 1, by index.
        strategy: The rule.
        num_clusters: K: how many of the largest clusters the "top clusters" strategies look at.
        num_best: N of "majority of best".

    Raises:
        ConfigError: K or N is less than 1.
        DataError: A score is not a probability.
    """
    known = _known_scores(clusters, scores)
    if num_best < 1:
        raise ConfigError(f"num_best is {num_best}: expected 1 or more")
    candidates = set(_largest(clusters, num_clusters) if strategy.needs_top_clusters_alone else range(len(clusters)))
    if not clusters:
        return Choice(cluster=None, sample=None, confidence=0.0, weights=())
    mean = fsum(known.values()) / len(known) if known else 1.0
    values = {index: known.get(index, mean) for cluster in clusters for index in cluster.members}
    weigh = _weighing(strategy, values, num_best) if known else _num_votes
    weights = tuple(weigh(cluster) if place in candidates else 0.0 for place, cluster in enumerate(clusters))

    def rank(place: int) -> tuple[bool, float, float, int, int]:
        cluster = clusters[place]
        total = fsum(values[index] for index in cluster.members)
        return place in candidates, weights[place], total, cluster.num_votes, -cluster.members[0]

    chosen = max(range(len(clusters)), key=rank)
    return Choice(
        cluster=chosen,
        sample=min(clusters[chosen].members, key=lambda index: (-known.get(index, -1.0), index)),
        confidence=weights[chosen] / fsum(weights) if weights[chosen] else 0.0,
        weights=weights,
    )


def samples_to_score(
    clusters: Sequence[AnswerCluster], strategy: Strategy, *, num_clusters: int = 8
) -> tuple[int, ...]:
    """Return the samples that a strategy needs scored, ascending.

    Raises:
        ConfigError: The number of clusters is less than 1.
    """
    if not strategy.needs_scores:
        return ()
    places = _largest(clusters, num_clusters) if strategy.needs_top_clusters_alone else range(len(clusters))
    return tuple(sorted(index for place in places for index in clusters[place].members))


def _known_scores(clusters: Sequence[AnswerCluster], scores: Mapping[int, float]) -> dict[int, float]:
    """Return the scores of the clusters' members."""
    known = {index: scores[index] for cluster in clusters for index in cluster.members if index in scores}
    for index, score in known.items():
        if not 0 <= score <= 1:
            raise DataError(f"the score of sample {index} is {score}: expected a number from 0 to 1")
    return known


def _largest(clusters: Sequence[AnswerCluster], num_clusters: int) -> list[int]:
    """Return the places of the largest clusters, ties by the earliest member."""
    if num_clusters < 1:
        raise ConfigError(f"num_clusters is {num_clusters}: expected 1 or more")
    order = sorted(range(len(clusters)), key=lambda place: (-clusters[place].num_votes, clusters[place].members[0]))
    return order[:num_clusters]


def _num_votes(cluster: AnswerCluster) -> float:
    return float(cluster.num_votes)


def _weighing(strategy: Strategy, values: Mapping[int, float], num_best: int) -> Callable[[AnswerCluster], float]:
    """Return what a cluster weighs, given a value for each member."""
    best = set(sorted(values, key=lambda index: (-values[index], index))[:num_best])
    match strategy:
        case Strategy.MAJORITY_VOTE:
            return _num_votes
        case Strategy.BEST_OF_N | Strategy.BEST_OF_TOP_CLUSTERS:
            return lambda cluster: max(values[index] for index in cluster.members)
        case Strategy.WEIGHTED_VOTE | Strategy.WEIGHTED_VOTE_TOP_CLUSTERS:
            return lambda cluster: fsum(values[index] for index in cluster.members)
        case Strategy.MAJORITY_OF_BEST:
            return lambda cluster: float(len(best.intersection(cluster.members)))
