"""Shares of problems, and differences of shares, with the intervals that the number of problems and seeds allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z95 = 1.959964
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often something holds, with Wilson's 95 % interval.

    Attributes:
        rate: `num_hits / num`, NaN when `num` is 0.
        low: Lower end of the interval.
        high: Upper end.
    """

    num_hits: int
    num: int
    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.1%} [{self.low:.1%}, {self.high:.1%}] of {self.num:,}"


def rate(hits: Sequence[bool]) -> Rate:
    """Count; the interval is E. B. Wilson's (1927), which also holds near 0 and 1."""
    num, num_hits = len(hits), sum(hits)
    if not num:
        return Rate(num_hits=0, num=0, rate=math.nan, low=0.0, high=1.0)
    share, spread = num_hits / num, Z95**2 / num
    center = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / num + spread / (4 * num)) / (1 + spread)
    low, high = max(0.0, center - half), min(1.0, center + half)
    return Rate(num_hits=num_hits, num=num, rate=share, low=min(low, share), high=max(high, share))  # but for rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean over problems and seeds, with its 95 % interval.

    Attributes:
        num_problems: Problems, the same ones for each seed.
        num_seeds: Runs that differ in their seed alone.
    """

    mean: float
    low: float
    high: float
    num_problems: int
    num_seeds: int

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def mean_over_seeds(values: Sequence[Sequence[float]]) -> Mean:
    """Average one row of values a seed, one column a problem; for the difference of two models, give differences.

    Problems and seeds are both drawn from more that could have been: the variance of the mean is that of the problems'
    means over their number plus that of the seeds' means over theirs. Of one seed, nothing is known about the second.
    """
    table = np.asarray(values, dtype=np.float64)
    num_seeds, num_problems = table.shape
    variance = table.mean(axis=0).var(ddof=1) / num_problems
    if num_seeds > 1:
        variance += table.mean(axis=1).var(ddof=1) / num_seeds
    mean, half = float(table.mean()), Z95 * math.sqrt(variance)
    return Mean(mean=mean, low=mean - half, high=mean + half, num_problems=num_problems, num_seeds=num_seeds)
