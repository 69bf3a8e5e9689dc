"""A share of problems, with the interval that its number of problems allows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
