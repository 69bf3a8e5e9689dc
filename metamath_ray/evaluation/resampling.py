"""How far a mean over problems may be trusted: the percentile bootstrap over problems, and random sign flips."""

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from metamath_ray.evaluation.problem_samples import Floats
from metamath_ray.evaluation.results import Estimate

NUM_RESAMPLES = 2_000
NUM_FLIPS = 10_000
CELLS_PER_CHUNK = 2_000_000
"""Resamples × problems that are held at a time: 16 MB of each array."""

_PERCENTILES = (2.5, 97.5)
Name = TypeVar("Name", bound=Hashable)


def estimates(
    columns: Mapping[Name, Floats], *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> dict[Name, Estimate]:
    """Average each column over the problems, with the interval of its mean over resampled problems.

    All columns see the same resamples, and equal seeds and numbers of problems give the same resamples again.

    Args:
        columns: Name → one value a problem.
    """
    if not columns:
        return {}
    values = np.column_stack(list(columns.values()))
    means = np.vstack([counts @ values for counts in resamples(len(values), num_resamples, seed)]) / len(values)
    low, high = np.percentile(means, _PERCENTILES, axis=0)
    return {
        name: Estimate(value=float(value), low=float(least), high=float(most))
        for name, value, least, most in zip(columns, values.mean(axis=0), low, high, strict=True)
    }


def ratio_estimate(
    numerators: Floats, denominators: Floats, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimate a ratio of two sums over problems; resamples without a denominator are left out."""
    both = np.column_stack([numerators, denominators])
    sums = np.vstack([counts @ both for counts in resamples(len(both), num_resamples, seed)])
    return interval_of(float(numerators.sum() / denominators.sum()), sums[sums[:, 1] > 0])


def interval_of(value: float, sums: Floats) -> Estimate:
    """Put the interval of resampled ratios, numerators beside denominators, around a value."""
    low, high = np.percentile(sums[:, 0] / sums[:, 1], _PERCENTILES)
    return Estimate(value=value, low=float(low), high=float(high))


def resamples(num_problems: int, num_resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each problem is drawn when as many are drawn with replacement. Shapes [some resamples, problems].

    Chunks keep memory the same for any number of problems and resamples.
    """
    chance = np.random.default_rng(seed)
    size = max(1, CELLS_PER_CHUNK // num_problems)
    for start in range(0, num_resamples, size):
        num = min(size, num_resamples - start)
        drawn = chance.integers(num_problems, size=(num, num_problems))
        drawn += np.arange(num)[:, None] * num_problems
        counts = np.bincount(drawn.ravel(), minlength=num * num_problems)
        yield counts.reshape(num, num_problems).astype(np.float64)


def p_values(differences: Mapping[Name, Floats], *, num_flips: int = NUM_FLIPS, seed: int = 0) -> dict[Name, float]:
    """Return for each column how often a mean so far from 0 arises when each problem's sign is a coin's.

    Two-sided, and never 0: (b + 1) / (m + 1) over m flips (B. Phipson and G. K. Smyth, 2010).

    Args:
        differences: Name → one difference a problem.
    """
    if not differences:
        return {}
    values = np.column_stack(list(differences.values()))
    observed = np.abs(values.sum(axis=0))
    tolerance = 1e-9 * np.abs(values).sum(axis=0)
    extreme = np.zeros(values.shape[1], dtype=np.int64)
    for signs in _signs(len(values), num_flips, seed):
        extreme += (np.abs(signs @ values) >= observed - tolerance).sum(axis=0)
    return {name: float(p) for name, p in zip(differences, (extreme + 1) / (num_flips + 1), strict=True)}


def _signs(num_problems: int, num_flips: int, seed: int) -> Iterator[Floats]:
    chance = np.random.default_rng(seed)
    size = max(1, CELLS_PER_CHUNK // num_problems)
    for start in range(0, num_flips, size):
        num = min(size, num_flips - start)
        bits = np.frombuffer(chance.bytes(-(-num * num_problems // 8)), dtype=np.uint8)
        coins: npt.NDArray[np.uint8] = np.unpackbits(bits, count=num * num_problems).reshape(num, num_problems)
        yield coins.astype(np.float64) * 2 - 1
