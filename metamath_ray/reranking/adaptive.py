"""When to stop sampling: as soon as the leading answer will, probably enough, still lead after all N samples.

Adaptive-Consistency (arXiv 2305.11860) asks whether the leader is more probable under the model than the runner-up,
which no number of samples may settle. A vote over N samples needs less: that the N - n samples still to come leave the
leader in front. Given the votes so far, these are draws from a Pólya urn (a multinomial with a Dirichlet prior), so the
probability is a finite sum. `benchmarks/adaptive.py` compares the rules.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, floor, fsum, log

from metamath_ray.errors import ConfigError
from metamath_ray.reranking.strategies import Choice, Strategy
from metamath_ray.types import AnswerCluster

PRIOR_VOTES = 1.0
"""Votes that the leader, the runner-up and all the rest have before the first sample: a uniform prior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSampling:
    """When sampling may end before all samples are drawn.

    Attributes:
        min_samples: Samples before the first look.
        confidence: Probability that the leading answer stays, from which on sampling ends.
    """

    min_samples: int = 4
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.min_samples < 1:
            raise ConfigError(f"min_samples is {self.min_samples}: expected 1 or more")
        if not 0 < self.confidence <= 1:
            raise ConfigError(f"confidence is {self.confidence}: expected a number above 0, up to 1")


def next_round(num_drawn: int, *, min_samples: int, num_samples: int) -> int:
    """Return how many samples to draw before the next look.

    First `min_samples`; then a quarter of what was drawn, at least half of `min_samples`: looks stay few, and little is
    drawn in vain.
    """
    size = max(-(-min_samples // 2), num_drawn // 4) if num_drawn else min_samples
    return min(size, num_samples - num_drawn)


def should_stop(
    clusters: Sequence[AnswerCluster],
    choice: Choice,
    strategy: Strategy,
    *,
    num_drawn: int,
    num_samples: int,
    confidence: float,
) -> bool:
    """Whether what a strategy chose now will, with this probability, be its choice after all samples."""
    if choice.cluster is None:
        return False
    votes = [cluster.num_votes for cluster in clusters]
    if strategy.takes_the_best:
        return probability_of_the_best_staying(votes[choice.cluster], num_drawn, num_samples) >= confidence
    return probability_of_staying(votes, num_drawn, num_samples, weights=choice.weights) >= confidence


def probability_of_the_best_staying(votes: int, num_drawn: int, num_samples: int) -> float:
    """Return the probability that the best-scored sample of all gives the answer that the best one drawn gives.

    Samples are exchangeable: the best of N is among the first n with probability n / N. Else it is still to come, and
    gives this answer as often as the samples so far do.
    """
    drawn = min(1.0, num_drawn / num_samples)
    return drawn + (1 - drawn) * (votes + PRIOR_VOTES) / (num_drawn + 2 * PRIOR_VOTES)


def probability_of_staying(
    votes: Sequence[int], num_drawn: int, num_samples: int, *, weights: Sequence[float] | None = None
) -> float:
    """Return the probability that the leading cluster is still ahead of its likeliest rival after all samples.

    That is the runner-up, or an answer not seen yet: where votes weigh differently, a newcomer may come nearer to the
    lead than a light runner-up. A tie counts as lost.

    Args:
        votes: Votes of each cluster.
        num_drawn: Samples drawn, also those that do not vote.
        num_samples: N: samples in the end.
        weights: Deciding weight of each cluster, its votes if not given. A vote to come weighs as those of its cluster
            do on average, for a new answer as those of the leader do.

    Returns:
        0 without clusters; exactly 1 when the lead cannot be lost, or when nothing is left to draw.
    """
    remaining = num_samples - num_drawn
    if not votes:
        return 0.0
    if remaining <= 0:
        return 1.0
    totals = [float(number) for number in votes] if weights is None else weights
    ranked = [_Side(total, count, total / count) for total, count in zip(totals, votes, strict=True)]
    leader, *runner_up = heapq.nlargest(2, ranked, key=lambda side: (side.weight, side.votes))
    rivals = runner_up if runner_up and runner_up[0].step >= leader.step else [*runner_up, _Side(0.0, 0, leader.step)]
    return 1.0 - max(_probability_of_overtaking(leader, rival, num_drawn, remaining) for rival in rivals)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of two clusters: its weight, its votes, and what one more vote would weigh."""

    weight: float
    votes: int
    step: float


def _probability_of_overtaking(leader: _Side, rival: _Side, num_drawn: int, remaining: int) -> float:
    """Return the probability that the rival is level with the leader, or in front, after the remaining draws.

    A sum over the number m of draws that fall on the two (beta-binomial, against all else) of the probability that at
    most `most(m)` of these fall on the leader (beta-binomial too).
    """
    ahead, behind = leader.votes + PRIOR_VOTES, rival.votes + PRIOR_VOTES
    others = num_drawn - leader.votes - rival.votes + PRIOR_VOTES
    total, steps = 0.0, leader.step + rival.step
    for m, share in enumerate(_beta_binomial(remaining, ahead + behind, others)):
        lead = leader.weight - rival.weight - m * rival.step
        most = m if steps == 0 else min(m, floor(-lead / steps))
        total += share * _at_most(most, m, ahead, behind)
    return total


def _at_most(most: int, draws: int, ahead: float, behind: float) -> float:
    """Return the beta-binomial probability of at most so many successes."""
    if most >= draws:
        return 1.0
    return sum(_beta_binomial(draws, ahead, behind)[: most + 1]) if most >= 0 else 0.0


def _beta_binomial(draws: int, successes: float, failures: float) -> list[float]:
    """Return the beta-binomial probabilities of 0, 1, … successes, given pseudo-counts of both.

    The first one may be too small for a float, and the others are its multiples: so they are added up as logarithms.
    """
    logs = [0.0]
    for number in range(draws):
        ratio = (draws - number) * (successes + number) / ((number + 1) * (failures + draws - number - 1))
        logs.append(logs[-1] + log(ratio))
    largest = max(logs)
    terms = [exp(one - largest) for one in logs]
    total = fsum(terms)
    return [term / total for term in terms]
