"""Adaptive sampling replayed on stored samples: what it would have answered, and after how many samples.

The rule is `reranking.adaptive`'s: rounds by `next_round`, the end by `should_stop`. Its probability is worked out here
for many states at once, which share their tables where the votes are equal; the tests hold both to the same values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metamath_ray.evaluation.orderings import choices, draw_positions, tally, without_scores
from metamath_ray.evaluation.problem_samples import Bools, Floats, Ints, ProblemSamples
from metamath_ray.reranking import AdaptiveSampling, Strategy, next_round
from metamath_ray.reranking.adaptive import PRIOR_VOTES

CONFIDENCES = (0.7, 0.8, 0.9, 0.95, 0.99)
MIN_SAMPLES = AdaptiveSampling().min_samples
NUM_ORDERINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replayed:
    """One strategy under adaptive sampling, expected over orderings.

    Attributes:
        accuracy: Shape [problems, confidences], as `num_samples`: samples drawn.
        with_all: Accuracy of all samples in the same orderings. Shape [problems].
    """

    accuracy: Floats
    num_samples: Floats
    with_all: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Race:
    """The two clusters in front, at each look of each ordering; shapes [orderings, looks].

    Attributes:
        weight: What the leader weighs.
        votes: Its votes; 0 where nothing votes.
        rival_weight: What the runner-up weighs; 0, as its votes, where there is none.
        rival_step: What one more vote for the runner-up weighs.
    """

    weight: Floats
    votes: Ints
    rival_weight: Floats
    rival_votes: Ints
    rival_step: Floats


def replay(
    problems: Sequence[ProblemSamples],
    strategies: Sequence[Strategy],
    *,
    num_samples: int,
    seed: int,
    num_orderings: int = NUM_ORDERINGS,
    min_samples: int = MIN_SAMPLES,
) -> Mapping[Strategy, Replayed]:
    """Replay the strategies at each of `CONFIDENCES`.

    Args:
        strategies: Majority vote, or weighted vote where there are scores.
        num_samples: N: where sampling ends in any case.
        min_samples: Samples before the first look.
    """
    looks = look_points(min_samples, num_samples)
    races: dict[Strategy, list[Race]] = {strategy: [] for strategy in strategies}
    right: dict[Strategy, list[Bools]] = {strategy: [] for strategy in strategies}
    use_scores = any(strategy.needs_scores for strategy in strategies)
    for problem in problems:
        counted = tally(problem, draw_positions(problem, num_orderings, seed), looks, use_scores=use_scores)
        verdicts = np.append(problem.cluster_is_correct, False)
        for strategy in strategies:
            votes = counted if strategy.needs_scores else without_scores(counted)
            races[strategy].append(race(votes.totals, votes.votes))
            right[strategy].append(verdicts[choices(votes, strategy, num_clusters=1, num_best=1)].T)
    return {strategy: _stopped(_joined(races[strategy]), np.array(right[strategy]), looks) for strategy in strategies}


def look_points(min_samples: int, num_samples: int) -> Ints:
    """Return after how many samples a look is taken, N being the last."""
    ends = [0]
    while ends[-1] < num_samples:
        ends.append(ends[-1] + next_round(ends[-1], min_samples=min_samples, num_samples=num_samples))
    return np.array(ends[1:])


def race(weights: Floats, votes: Floats) -> Race:
    """Find leader and runner-up by weight, then votes, as `probability_of_staying` ranks them.

    Args:
        weights: Shape [looks, clusters, orderings], as the votes.
    """
    weight, count, others = _first(weights, votes)
    rival_weight, rival_count, _ = _first(weights, votes * others)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.where(rival_count > 0, rival_weight / rival_count, weight / count)
    return Race(
        weight=weight.T,
        votes=count.T.astype(np.int64),
        rival_weight=rival_weight.T,
        rival_votes=rival_count.T.astype(np.int64),
        rival_step=np.nan_to_num(step).T,
    )


def _first(weights: Floats, votes: Floats) -> tuple[Floats, Floats, Bools]:
    """Return weight and votes of the cluster in front, and which clusters are left."""
    if not votes.shape[1]:
        nothing = np.zeros((len(votes), votes.shape[2]))
        return nothing, nothing, votes > 0
    value = np.where(votes > 0, weights, -np.inf)
    tied = value == value.max(axis=1, keepdims=True)
    place = np.where(tied, votes, -1.0).argmax(axis=1)[:, None]
    count = np.take_along_axis(votes, place, axis=1)[:, 0]
    weight = np.take_along_axis(weights, place, axis=1)[:, 0]
    others: Bools = np.arange(votes.shape[1])[:, None] != place
    return np.where(count > 0, weight, 0.0), count, others


def _joined(races: Sequence[Race]) -> Race:
    """Put the orderings of all problems below one another."""
    return Race(**{name: np.concatenate([getattr(one, name) for one in races]) for name in Race.__slots__})


def _stopped(races: Race, right: Bools, looks: Ints) -> Replayed:
    """Stop each ordering at the first look that is sure enough; `right` has the shape [problems, orderings, looks]."""
    probabilities = np.column_stack(
        [probabilities_of_staying(races, look, int(n), int(looks[-1])) for look, n in enumerate(looks)]
    ).reshape(right.shape)
    accuracy, num_samples = [], []
    for confidence in CONFIDENCES:
        is_sure = probabilities >= confidence
        is_sure[..., -1] = True
        stop = is_sure.argmax(axis=-1)
        accuracy.append(np.take_along_axis(right, stop[..., None], axis=-1)[..., 0].mean(axis=1))
        num_samples.append(looks[stop].mean(axis=1))
    return Replayed(
        accuracy=np.column_stack(accuracy),
        num_samples=np.column_stack(num_samples),
        with_all=right[..., -1].mean(axis=1),
    )


def probabilities_of_staying(races: Race, look: int, num_drawn: int, num_samples: int) -> Floats:
    """Return `reranking.probability_of_staying` of every state at one look; 0 where nothing votes."""
    votes, rival_votes = races.votes[:, look], races.rival_votes[:, look]
    found = np.zeros(len(votes))
    if num_drawn >= num_samples:
        return np.where(votes > 0, 1.0, found)
    for (ahead, behind), states in _equal_votes(votes, rival_votes):
        weight, rival = races.weight[states, look], races.rival_weight[states, look]
        step, rival_step = weight / ahead, races.rival_step[states, look]
        drawn = {"num_drawn": num_drawn, "remaining": num_samples - num_drawn}
        overtaken = _overtaken(weight - rival, step, rival_step, ahead, behind, **drawn)
        if (is_light := rival_step < step).any():
            by_newcomer = _overtaken(weight, step, step, ahead, 0, **drawn)
            overtaken = np.where(is_light, np.maximum(overtaken, by_newcomer), overtaken)
        found[states] = 1.0 - overtaken
    return found


def _equal_votes(votes: Ints, rival_votes: Ints) -> Iterator[tuple[tuple[int, int], Ints]]:
    """Yield the states with equal votes of leader and runner-up together."""
    pairs = votes * (rival_votes.max(initial=0) + 1) + rival_votes
    order = np.argsort(pairs, kind="stable")
    for states in np.split(order, np.flatnonzero(np.diff(pairs[order])) + 1):
        if len(states) and votes[states[0]]:
            yield (int(votes[states[0]]), int(rival_votes[states[0]])), states


def _overtaken(
    lead: Floats, step: Floats, rival_step: Floats, ahead: int, behind: int, *, num_drawn: int, remaining: int
) -> Floats:
    """Return the probability that the rival is level or in front after the remaining draws, for each lead and steps."""
    draws = np.arange(remaining + 1)
    a, b, rest = ahead + PRIOR_VOTES, behind + PRIOR_VOTES, num_drawn - ahead - behind + PRIOR_VOTES
    shares = _beta_binomials(draws[-1:], a + b, rest)[0]
    at_most = np.pad(np.cumsum(_beta_binomials(draws, a, b), axis=1), ((0, 0), (1, 0)))  # [m, 1 + most]
    at_most[draws, draws + 1] = 1.0
    steps = (step + rival_step)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.floor(-(lead[:, None] - draws * rival_step[:, None]) / steps)
    most = np.clip(np.where(steps == 0, draws, most), -1, draws).astype(np.int64)
    overtaken: Floats = at_most[draws, most + 1] @ shares
    return overtaken


def _beta_binomials(draws: Ints, successes: float, failures: float) -> Floats:
    """Return the beta-binomial probabilities of 0, 1, … successes, a row for each number of draws."""
    m, number = draws[:, None], np.arange(draws.max())
    ratios = (m - number) * (successes + number) / ((number + 1) * np.maximum(failures + m - number - 1, PRIOR_VOTES))
    with np.errstate(divide="ignore"):
        steps = np.log(np.maximum(ratios, 0.0))  # 0 successes more than draws have the probability 0
    logs = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
    terms = np.exp(logs - logs.max(axis=1, keepdims=True))
    probabilities: Floats = terms / terms.sum(axis=1, keepdims=True)
    return probabilities
