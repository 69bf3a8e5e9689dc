import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.datasets import ContaminationKind, Decontaminator
from metamath_ray.datasets.folding import fold, words

LOADED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "decontamination" / "cases.json").read_text())
QUESTIONS: list[str] = LOADED["test_questions"]
DECONTAMINATOR = Decontaminator(("school", question) for question in QUESTIONS)


@pytest.mark.parametrize("case", LOADED["cases"], ids=lambda case: case["id"])
def test_kind_of_overlap(case: dict[str, Any]) -> None:
    hit = DECONTAMINATOR.check(case["text"])
    assert (hit.kind if hit else None) == case["kind"]
    if hit:
        assert hit.test_set == "school"
        assert hit.test_question in QUESTIONS
        assert hit.is_removed is (case["kind"] != "template")


def test_ngram_says_what_is_shared() -> None:
    hit = DECONTAMINATOR.check("Today Nora plants 12 rows of beans with 1250 beans in every row and column.")
    assert hit
    assert hit.overlap == "nora plants 12 rows of beans with 1250 beans in every row and"


def test_removed_kinds_are_a_choice() -> None:
    strict = Decontaminator([("t", QUESTIONS[1])], removed_kinds=frozenset(ContaminationKind))
    lenient = Decontaminator([("t", QUESTIONS[1])], removed_kinds=frozenset())
    text = "Compute $9 + 9 \\cdot 9$."
    assert [bool(hit and hit.is_removed) for hit in (strict.check(text), lenient.check(text))] == [True, False]


def test_question_of_two_sets_belongs_to_the_first() -> None:
    decontaminator = Decontaminator([("a", "One and one?"), ("b", "one and ONE"), ("b", "")])
    assert decontaminator.num_questions == 1
    hit = decontaminator.check("One and one?")
    assert hit
    assert hit.test_set == "a"


@settings(deadline=None)
@given(question=st.sampled_from(QUESTIONS), before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_long_question_is_found_inside_any_text(question: str, before: str, after: str) -> None:
    if len(words(fold(question))) > 20:
        assert DECONTAMINATOR.check(f"{before} . {question} . {after}")


@settings(deadline=None)
@given(text=st.text())
def test_folding_is_idempotent(text: str) -> None:
    assert fold(fold(text)) == fold(text)


def test_time_is_linear_in_the_text() -> None:
    text = "If we know the answer to the above question is " + "beans 1,250 [asy] {{ " * 50_000
    start = time.perf_counter()
    DECONTAMINATOR.check(text)
    assert time.perf_counter() - start < 5
