"""Inputs that are meant to hang, crash or fill the memory."""

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.grading import Verdict, compare, extract_answer, grade, pool
from metamath_ray.grading.limits import COMPARE_SECONDS

BOMBS = {
    "tower-of-powers": "9^{9^{9^9}}",
    "tower-of-twos": "2^{2^{2^{2^{2^{2^2}}}}}",
    "power-of-ten": "10^{100000000}",
    "power-plain": "10**100000000",
    "factorial": "1000000000!",
    "factorial-of-factorial": "((100!)!)!",
    "factorial-marks": "x" + "!" * 3000,
    "binomial": r"\binom{10^6}{5\cdot 10^5}",
    "binomial-huge": r"\binom{10^{12}}{5\cdot 10^{11}}",
    "sum-of-a-billion": r"\sum_{k=1}^{1000000000} k",
    "brackets-5000": "(" * 5000 + "1" + ")" * 5000,
    "brackets-100": "(" * 100 + "1" + ")" * 100,
    "braces": "{" * 3000 + "1" + "}" * 3000,
    "fractions-nested": r"\frac{1}{" * 200 + "1" + "}" * 200,
    "roots-nested": r"\sqrt{" * 300 + "2" + "}" * 300,
    "minus-signs": "-" * 3900 + "1",
    "plus-minus-signs": r"\pm 1" * 300,
    "carets": "^" * 3000,
    "powers-chained": "x" + "^2" * 900,
    "subscripts-chained": "x" + "_2" * 900,
    "bars": "|" * 2000,
    "megabyte-of-digits": "1" * 1_000_000,
    "megabyte-of-terms": "x+" * 500_000,
    "megabyte-of-spaces": " " * 1_000_000 + "1",
    "digits-at-the-cap": "7" * 1000 + "/" + "3" * 999,
    "root-of-many-digits": r"\sqrt{" + "7" * 900 + "}",
    "expansion": "(a+b+c+d+e+f+g+h)^{200}",
    "expansion-deep": "(x+y+z+w)^{5000}",
    "matrix-wide": r"\begin{pmatrix}" + "1&" * 600 + r"1\end{pmatrix}",
    "matrix-power": r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^{100000000}",
    "determinant": r"\begin{vmatrix}" + r"\\".join(["&".join("1" * 12)] * 12) + r"\end{vmatrix}",
    "set-of-many": ",".join(map(str, range(900))),
    "set-of-roots": ",".join(rf"\sqrt{{\sqrt{{{n}}}+1}}" for n in range(2, 66)),
    "words": "hundred " * 400,
    "letters": "a" * 3900 + "!",
    "pairs-of-digits": "1," * 1990,
    "open-texts": r"\text{" * 600,
    "dollars": "$" * 3999,
    "sizes": r"\left" * 700,
    "marks": "the value of " * 300,
    "boxes": r"\boxed{" * 500,
    "opening-brackets": "([{" * 1200,
    "closing-brackets": "}])" * 1200,
    "null-bytes": "\x00" * 4000,
    "lone-surrogate": "\ud800",
    "combining-marks": "a" + "\u0301" * 2000,
    "right-to-left": "\u202e123",
    "emoji": "\U0001f600" * 1000,
    "exponent-of-a-float": "1e999999999",
    "statements-nested": "$ a" * 1300,
    "signs-nested": r"\pm " * 700,
    "product-of-letters": "x " * 1400,
    "hours": "5 hours " * 400,
    "python-import": "__import__('os').system('true')",
    "python-lambda": "(lambda: 0).__class__.__mro__",
}


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    pool.warm_up()


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bomb(bomb: str) -> None:
    begin = time.monotonic()
    assert compare(bomb, "7") is not Verdict.EQUAL
    assert time.monotonic() - begin < COMPARE_SECONDS
    assert compare(bomb, bomb) is Verdict.EQUAL
    begin = time.monotonic()
    grade(f"The answer is: {bomb}", "7")
    extract_answer(bomb * 3)
    assert time.monotonic() - begin < 2 * COMPARE_SECONDS


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_arbitrary_strings_do_not_crash(a: str, b: str) -> None:
    assert compare(a, b) in Verdict
    grade(a, b)


def test_distinct_strings_do_not_fill_the_memory() -> None:
    def grade_many(start: int) -> None:
        for number in range(start, start + 400):
            compare(f"x^{number}+{number}" + "y" * 300, str(number))

    grade_many(0)
    tracemalloc.start()
    grade_many(400)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
