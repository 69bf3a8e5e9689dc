"""What a comparison found, and why it could not decide."""

from collections.abc import Iterable
from dataclasses import dataclass

from metamath_ray.types import Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict; `reason` says why it is unknown. A `transient` one (a busy machine) may come out better next time."""

    verdict: Verdict
    reason: str = ""
    transient: bool = False

    @property
    def is_equal(self) -> bool:
        """Whether the two were found equal."""
        return self.verdict is Verdict.EQUAL


EQUAL = Comparison(Verdict.EQUAL)
DIFFERENT = Comparison(Verdict.DIFFERENT)


def unknown(reason: str, *, transient: bool = False) -> Comparison:
    """Return a comparison that could not decide."""
    return Comparison(Verdict.UNKNOWN, reason, transient)


def decided(equal: bool) -> Comparison:
    """Return a comparison that did decide."""
    return EQUAL if equal else DIFFERENT


def all_of(comparisons: Iterable[Comparison]) -> Comparison:
    """Equal when all are, different as soon as one is, unknown otherwise; stops at the first difference."""
    undecided = None
    for comparison in comparisons:
        if comparison.verdict is Verdict.DIFFERENT:
            return DIFFERENT
        if comparison.verdict is Verdict.UNKNOWN:
            undecided = comparison
    return undecided or EQUAL
