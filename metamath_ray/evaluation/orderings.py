"""What each strategy chooses from the first k samples, averaged over orderings of all N, which one draw cannot tell.

The samples of a problem are exchangeable, so the accuracy at k is an expectation over their orderings. It is estimated
from random orderings, all at once: arrays have the axes [k, cluster, ordering]. `reranking.choose` is the rule, and the
tests hold both to the same choice, ordering by ordering.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from metamath_ray.evaluation.problem_samples import NO_VOTE, Bools, Floats, Ints, ProblemSamples
from metamath_ray.reranking import Strategy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """The votes of one problem after the first k samples of each ordering.

    Attributes:
        position: Place of each voting sample in each ordering; the samples stand cluster by cluster.
            Shape [voting samples, orderings].
        inside: Whether it is among the first k. Shape [sizes, voting samples, orderings].
        starts: Where each cluster's samples begin.
        scores: S of the voting samples; None where scores are not to be used.
        votes: Shape [sizes, clusters, orderings], as the rest.
        totals: Sums of S; votes without scores.
        best: The largest S; votes without scores.
        rank: The larger, the more votes, ties by the earliest member; -inf for a cluster not seen yet.
    """

    position: Ints
    inside: Bools
    starts: Ints
    scores: Floats | None
    votes: Floats
    totals: Floats
    best: Floats
    rank: Floats

    @property
    def seen(self) -> Bools:
        """The clusters with a vote."""
        return self.votes > 0


def sizes_up_to(num_samples: int) -> Ints:
    """Return 1, 2, 4, … below N, and N."""
    doubling = 2 ** np.arange(num_samples.bit_length())
    return np.append(doubling[doubling < num_samples], num_samples)


def draw_positions(problem: ProblemSamples, num_orderings: int, seed: int) -> Ints:
    """Draw random orderings of a problem's samples: entry [s, r] is the place of sample s in ordering r."""
    chance = np.random.default_rng([seed, zlib.crc32(problem.problem_id.encode())])
    identity = np.broadcast_to(np.arange(problem.num_samples), (num_orderings, problem.num_samples))
    return np.ascontiguousarray(chance.permuted(identity, axis=1).T)


def tally(problem: ProblemSamples, positions: Ints, sizes: Ints, *, use_scores: bool) -> Tally:
    """Count the votes after the first k samples of each ordering, for each k of `sizes`."""
    order = np.argsort(problem.cluster, kind="stable")
    order = order[problem.cluster[order] != NO_VOTE]
    starts = np.searchsorted(problem.cluster[order], np.arange(len(problem.cluster_is_correct)))
    position = positions[order]
    inside = position < sizes[:, None, None]
    votes = _by_cluster(np.add, inside.astype(np.float64), starts)
    totals = best = votes
    scores = problem.scores[order] if use_scores else None
    if scores is not None:
        values = scores[:, None]
        totals = _by_cluster(np.add, inside * values, starts)
        best = _by_cluster(np.maximum, np.where(inside, values, -1.0), starts)
    first = _by_cluster(np.minimum, position[None], starts)
    rank = np.where(votes > 0, votes * (problem.num_samples + 1) - first, -np.inf)
    return Tally(
        position=position,
        inside=inside,
        starts=starts,
        scores=scores,
        votes=votes,
        totals=totals,
        best=best,
        rank=rank,
    )


def without_scores(counted: Tally) -> Tally:
    """Return the same votes with no score, so that ties go to the earliest member."""
    return replace(counted, scores=None, totals=counted.votes, best=counted.votes)


def with_all(counted: Tally) -> Tally:
    """Return the last of the sizes alone."""
    last = {name: getattr(counted, name)[-1:] for name in ("inside", "votes", "totals", "best", "rank")}
    return replace(counted, **last)


def choices(counted: Tally, strategy: Strategy, *, num_clusters: int, num_best: int) -> Ints:
    """Return the cluster that a strategy chooses, -1 for none. Shape [sizes, orderings]."""
    return _chosen(counted, _weights(counted, strategy, num_best), _candidates(counted, strategy, num_clusters))


def accuracies(
    problem: ProblemSamples, counted: Tally, strategies: Iterable[Strategy], *, num_clusters: int, num_best: int
) -> tuple[dict[Strategy, Floats], dict[Strategy, Floats]]:
    """Return the accuracy of each strategy, and its number of verifier calls, over orderings. Shapes [sizes].

    Majority vote does not see the scores.
    """
    accuracy, calls = {}, {}
    top = top_clusters(counted, num_clusters)
    for strategy in strategies:
        if not strategy.needs_scores:
            plain = without_scores(counted)
            chosen = _chosen(plain, plain.votes, plain.seen)
            calls[strategy] = np.zeros(len(counted.votes))
        else:
            candidates = top if strategy.needs_top_clusters_alone else counted.seen
            chosen = _chosen(counted, _weights(counted, strategy, num_best), candidates)
            calls[strategy] = _mean_votes(counted, candidates)
        accuracy[strategy] = _share_right(problem, chosen)
    return accuracy, calls


def accuracies_by_clusters(problem: ProblemSamples, counted: Tally, numbers: Ints) -> tuple[dict[str, Floats], Floats]:
    """Return the accuracy of what looks at the K largest clusters, MajK@N ("oracle") too, and the verifier calls.

    Args:
        counted: At one size.
        numbers: The Ks. The arrays returned have their shape.
    """
    if not len(counted.starts):
        return {name: np.zeros(len(numbers)) for name in (*OF_TOP_CLUSTERS, "oracle")}, np.zeros(len(numbers))
    place = np.argsort(np.argsort(-counted.rank, axis=1), axis=1)
    top = (place < numbers[:, None, None]) & counted.seen
    found = {
        strategy: _share_right(problem, _chosen(counted, _weights(counted, Strategy(strategy), 1), top))
        for strategy in OF_TOP_CLUSTERS
    }
    found["oracle"] = (top & problem.cluster_is_correct[:, None]).any(axis=1).mean(axis=-1)
    return found, _mean_votes(counted, top)


OF_TOP_CLUSTERS = tuple(strategy.value for strategy in Strategy if strategy.needs_top_clusters_alone)


def top_clusters(counted: Tally, num_clusters: int) -> Bools:
    """Return which clusters are among the K largest, ties by the earliest member."""
    if num_clusters >= len(counted.starts):
        return counted.seen
    smallest = np.partition(counted.rank, -num_clusters, axis=1)[:, -num_clusters, None]
    found: Bools = counted.seen & (counted.rank >= smallest)
    return found


def exact_at_one(problem: ProblemSamples) -> float:
    """Return the accuracy of every strategy with one sample: the share of samples in a correct cluster."""
    return float(np.append(problem.cluster_is_correct, False)[problem.cluster].mean())


def _candidates(counted: Tally, strategy: Strategy, num_clusters: int) -> Bools:
    return top_clusters(counted, num_clusters) if strategy.needs_top_clusters_alone else counted.seen


def _chosen(counted: Tally, weights: Floats, candidates: Bools) -> Ints:
    """Return the candidate of largest weight, ties by the sum of S, votes and the earliest member."""
    if not len(counted.starts):
        return np.full((len(counted.votes), counted.position.shape[1]), NO_VOTE)
    left = candidates
    keys = [weights, *([] if weights is counted.totals else [counted.totals]), counted.rank]
    for key in keys:
        values = np.where(left, key, -np.inf)
        left = left & (values == values.max(axis=1, keepdims=True))
    return np.where(left.any(axis=1), left.argmax(axis=1), NO_VOTE)


def _share_right(problem: ProblemSamples, chosen: Ints) -> Floats:
    """Return the share of orderings in which the chosen cluster is correct. Shape [sizes]."""
    share: Floats = np.append(problem.cluster_is_correct, False)[chosen].mean(axis=-1)  # -1, no choice, is the last one
    return share


def _mean_votes(counted: Tally, candidates: Bools) -> Floats:
    """Return the number of samples in these clusters, on average over orderings. Shape [sizes]."""
    number: Floats = (counted.votes * candidates).sum(axis=1).mean(axis=-1)
    return number


def _weights(counted: Tally, strategy: Strategy, num_best: int) -> Floats:
    """Return what each cluster weighs, as `reranking.choose` has it; without scores, its votes."""
    match strategy:
        case Strategy.MAJORITY_VOTE:
            return counted.votes
        case Strategy.BEST_OF_N | Strategy.BEST_OF_TOP_CLUSTERS:
            return counted.best
        case Strategy.WEIGHTED_VOTE | Strategy.WEIGHTED_VOTE_TOP_CLUSTERS:
            return counted.totals
        case Strategy.MAJORITY_OF_BEST:
            return _votes_of_best(counted, num_best)


def _votes_of_best(counted: Tally, num_best: int) -> Floats:
    """Count the members of each cluster among the best-scored N of the first k, ties by the earlier sample."""
    if counted.scores is None or num_best >= len(counted.scores):
        return counted.votes
    worse = np.unique(-counted.scores, return_inverse=True)[1]
    rank = worse[:, None] * (counted.position.max() + 1) + counted.position
    rank = np.where(counted.inside, rank, np.iinfo(np.int64).max)
    last = np.partition(rank, num_best - 1, axis=1)[:, num_best - 1, None]
    return _by_cluster(np.add, (counted.inside & (rank <= last)).astype(np.float64), counted.starts)


def _by_cluster(reduction: np.ufunc, values: Floats | Ints, starts: Ints) -> Floats:
    """Reduce over the samples of each cluster. Shape [sizes, clusters, orderings]."""
    if not len(starts):
        return np.zeros((len(values), 0, values.shape[2]))
    reduced: Floats = reduction.reduceat(values, starts, axis=1)
    return reduced
