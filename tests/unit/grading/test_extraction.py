"""`extract_answer`: the case table, and bounds on hostile texts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.grading import Verdict, compare, extract_answer
from tests.unit.grading.tables import load_table

CASES = load_table("grading_extraction.json")
HOSTILE = {
    "open-boxes": r"\boxed{" * 30_000,
    "joined-boxes": r"\boxed{1} and " * 20_000,
    "open-displays": r"\[" * 100_000,
    "dollars": "$" * 200_000,
    "digits": "1" * 200_000,
    "marks": "the answer is " * 15_000,
    "value-marks": "the value of the " * 12_000,
    "stars": "**" * 100_000,
    "equals": "= " * 100_000,
    "white-space": "answer" + " " * 200_000,
    "braces": "{" * 200_000,
    "think": "<think>" * 30_000,
}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, str | None]) -> None:
    text = case["text"]
    assert text is not None
    assert extract_answer(text) == case["answer"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_time(text: str) -> None:
    begin = time.perf_counter()
    extract_answer(text)
    assert time.perf_counter() - begin < 2


@given(st.text(max_size=300))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    answer = extract_answer(text)
    assert answer is None or answer.strip()


@given(st.integers(), st.sampled_from(["The answer is: {}", "#### {}", r"so \boxed{{{}}}", "The value of x is {}."]))
def test_marked_integers_come_back(value: int, form: str) -> None:
    answer = extract_answer("First 3 + 4 = 7.\n" + form.format(value))
    assert answer is not None
    assert compare(answer, str(value)) is Verdict.EQUAL
