"""Known pairs that are graded when a worker starts: a grader that fails one of them must not label data."""

from metamath_ray.errors import GraderBroken
from metamath_ray.grading import pool
from metamath_ray.grading.equivalence import compare
from metamath_ray.grading.extraction import extract_answer
from metamath_ray.types import Verdict

CANARIES: tuple[tuple[str, str, Verdict], ...] = (
    ("72", "72.0", Verdict.EQUAL),
    ("1,234", "1234", Verdict.EQUAL),
    (r"\frac{1}{2}", "0.5", Verdict.EQUAL),
    ("$18.00", "18", Verdict.EQUAL),
    ("x = 5", "5", Verdict.EQUAL),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", Verdict.EQUAL),
    ("(x+1)^2", "x^2+2x+1", Verdict.EQUAL),
    ("2, 1", "1, 2", Verdict.EQUAL),
    (r"\text{Monday}", "Monday", Verdict.EQUAL),
    ("18", "81", Verdict.DIFFERENT),
    ("0.5", "0.05", Verdict.DIFFERENT),
    ("2x", "2y", Verdict.DIFFERENT),
    ("(2, 1)", "(1, 2)", Verdict.DIFFERENT),
    (r"\pm 3", "3", Verdict.DIFFERENT),
    ("x > 5", "x < 5", Verdict.DIFFERENT),
)
"""Answers, and what they are to each other; none of them needs an algebra worker, which has known pairs of its own."""

EXTRACTION_CANARIES: tuple[tuple[str, str | None], ...] = (
    ("3 + 4 = 7\nThe answer is: 7", "7"),
    ("3 + 4 = 7\n#### 7", "7"),
    (r"Thus, $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
    ("", None),
)
"""Completions and their final answers."""


def check_canaries() -> None:
    """Grade the known pairs and leave an algebra worker ready.

    Raises:
        GraderBroken: A pair came out wrong or no worker can start; nothing that this process grades can be trusted.
    """
    for a, b, expected in CANARIES:
        verdict = compare(a, b)
        if verdict is not expected:
            raise GraderBroken(f"the grader says that {a!r} and {b!r} are {verdict.value}; they are {expected.value}")
    for text, answer in EXTRACTION_CANARIES:
        found = extract_answer(text)
        if found != answer:
            raise GraderBroken(f"the grader finds {found!r} in {text!r}; its answer is {answer!r}")
    pool.warm_up()
