"""Known pairs that are graded when a worker starts: a grader that fails one of them must not label data."""

from metamath_ray.errors import GraderBroken
from metamath_ray.grading.equivalence import compare
from metamath_ray.types import Verdict

CANARIES: tuple[tuple[str, str, Verdict], ...] = (
    ("72", "72", Verdict.EQUAL),
    ("1,234", "1234", Verdict.EQUAL),
    (r"\frac{1}{2}", "0.5", Verdict.EQUAL),
    ("$18.00", "18", Verdict.EQUAL),
    ("18", "81", Verdict.DIFFERENT),
    ("0.5", "0.05", Verdict.DIFFERENT),
)


def check_canaries() -> None:
    """Grade the known pairs.

    Raises:
        GraderBroken: One of them came out wrong; nothing that this process grades can be trusted.
    """
    for a, b, expected in CANARIES:
        verdict = compare(a, b)
        if verdict is not expected:
            raise GraderBroken(f"the grader says that {a!r} and {b!r} are {verdict.value}; they are {expected.value}")
