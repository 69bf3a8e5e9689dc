"""Rules that stop a vote before all its samples, replayed on real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from solve_samples import Question

from metamath_ray.reranking import AdaptiveSampling, Strategy, choose, next_round, should_stop
from metamath_ray.statistics import Mean, mean_over_seeds

RULE = AdaptiveSampling()
SHARE = 0.75
SHARES = np.arange(0.5, 1.005, 0.01)
BLOCK = 16
"""N of the service by default."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """The majority vote after 1, 2, … N samples; arrays of orders × questions × N.

    Attributes:
        leads: Votes of the leader.
        right: Whether it is the reference answer.
        tokens: Tokens generated until then.
    """

    leads: Ints
    right: Bools
    tokens: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Where a rule ended; arrays of orders × questions."""

    samples: Ints
    right: Bools
    tokens: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A rule, all samples by the same vote, and the adaptive rule by the same vote."""

    it: Stopped
    everything: Stopped
    ours: Stopped

    @property
    def points(self) -> Mean:
        """How much more often it is right than all samples."""
        return mean(self.it.right * 1.0 - self.everything.right)

    @property
    def saved(self) -> Mean:
        """Tokens that it saves, of those of all samples."""
        return share(self.everything.tokens - self.it.tokens, self.everything.tokens)

    @property
    def adaptive_points(self) -> Mean:
        """How much more often the adaptive rule is right than it."""
        return mean(self.ours.right * 1.0 - self.it.right)

    @property
    def adaptive_saves(self) -> Mean:
        """Tokens that the adaptive rule saves, of those that it takes."""
        return share(self.it.tokens - self.ours.tokens, self.it.tokens)


def stopping(orders: Sequence[Sequence[Question]]) -> dict[str, Compared]:
    """Return where each rule ends."""
    votes = follow(orders)
    num_samples = votes.leads.shape[2]
    every, rounds = np.arange(RULE.min_samples, num_samples + 1), looks(num_samples)
    everything = fixed(votes, num_samples)
    ours = adaptive(orders, Strategy.MAJORITY_VOTE, rounds)
    sizes = [fixed(votes, size) for size in range(1, num_samples + 1)]
    shares = [by_share(votes, float(share), at) for at in (every, rounds) for share in SHARES]
    found = {
        f"all {num_samples}": everything,
        f"adaptive {RULE.confidence}, as served": ours,
        f"fixed {BLOCK}": fixed(votes, min(BLOCK, num_samples)),
        f"{SHARE:.0%} majority, after every sample": by_share(votes, SHARE, every),
        f"{SHARE:.0%} majority, in the same rounds": by_share(votes, SHARE, rounds),
        "fixed N, as accurate": cheapest(sizes, ours, everything),
        "majority share, as accurate": cheapest(shares, ours, everything),
    }
    compared = {name: Compared(it=it, everything=everything, ours=ours) for name, it in found.items()}
    weighed = adaptive(orders, Strategy.WEIGHTED_VOTE, rounds)
    all_weighed = adaptive(orders, Strategy.WEIGHTED_VOTE, rounds[-1:])
    return {
        **compared,
        f"weighted vote, all {num_samples}": Compared(it=all_weighed, everything=all_weighed, ours=weighed),
        f"weighted vote, adaptive {RULE.confidence}": Compared(it=weighed, everything=all_weighed, ours=weighed),
    }


def follow(orders: Sequence[Sequence[Question]]) -> Votes:
    """Follow the majority vote sample by sample; a tie goes to the earliest answer."""
    rows = [[question.trace() for question in order] for order in orders]
    return Votes(
        leads=np.array([[leads for leads, _ in row] for row in rows]),
        right=np.array([[right for _, right in row] for row in rows]),
        tokens=np.array([[np.cumsum(question.tokens) for question in order] for order in orders]),
    )


def looks(num_samples: int) -> Ints:
    """Return after how many samples the service looks."""
    ends = [0]
    while ends[-1] < num_samples:
        ends.append(ends[-1] + next_round(ends[-1], min_samples=RULE.min_samples, num_samples=num_samples))
    return np.array(ends[1:])


def at_end(votes: Votes, samples: Ints) -> Stopped:
    """Read off what the majority vote was where sampling ended."""
    place = (samples - 1)[..., None]
    right = np.take_along_axis(votes.right, place, axis=2)[..., 0]
    return Stopped(samples=samples, right=right, tokens=np.take_along_axis(votes.tokens, place, axis=2)[..., 0])


def fixed(votes: Votes, size: int) -> Stopped:
    """Take so many samples of each question."""
    return at_end(votes, np.full(votes.leads.shape[:2], size))


def by_share(votes: Votes, share: float, at: Ints) -> Stopped:
    """Stop as soon as the leader has this share of the samples drawn."""
    reached = votes.leads[:, :, at - 1] >= share * at - 1e-9
    reached[:, :, -1] = True
    return at_end(votes, at[reached.argmax(axis=2)])


def adaptive(orders: Sequence[Sequence[Question]], strategy: Strategy, at: Ints) -> Stopped:
    """Stop as the service does with `adaptive`, looking after these numbers of samples."""
    ends = np.array([[_end(question, strategy, at) for question in order] for order in orders])
    return Stopped(samples=ends[..., 0], right=ends[..., 1].astype(bool), tokens=ends[..., 2])


def _end(question: Question, strategy: Strategy, at: Ints) -> tuple[int, bool, int]:
    num_samples = question.num_samples
    for num_drawn in at.tolist():
        clusters = question.clusters(num_drawn)
        choice = choose(clusters, question.scores(num_drawn), strategy)
        if num_drawn < num_samples and should_stop(
            clusters, choice, strategy, num_drawn=num_drawn, num_samples=num_samples, confidence=RULE.confidence
        ):
            break
    right = choice.cluster is not None and question.is_right(clusters[choice.cluster].members[0])
    return num_drawn, right, sum(question.tokens[:num_drawn])


def cheapest(found: Sequence[Stopped], ours: Stopped, everything: Stopped) -> Stopped:
    """Return the one that takes the fewest tokens among those that lose no accuracy that ours keeps."""
    needed = min(ours.right.mean(), everything.right.mean())
    good = [one for one in found if one.right.mean() >= needed]
    return min(good, key=lambda one: float(one.tokens.mean()), default=everything)


def mean(values: npt.NDArray[Any]) -> Mean:
    """Average an array of orders (or blocks) × questions."""
    return mean_over_seeds(values.astype(np.float64).tolist())


def share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Mean:
    """Return one sum over another; its interval is that of the ratio of two means, which vary together."""
    ratio = part.sum() / whole.sum()
    return mean(ratio + (part - ratio * whole) / whole.mean())
