import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.datasets.gsm8k import FIELDS, backward_problem, gsm8k_problem
from metamath_ray.datasets.math import FIELDS as MATH_FIELDS
from metamath_ray.datasets.math import last_boxed, math_problem
from metamath_ray.datasets.records import Record
from metamath_ray.errors import DataError

DATA = Path(__file__).parents[2] / "data" / "datasets"


def cases(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((DATA / name).read_text())
    return loaded


def record(**values: object) -> Record:
    return Record(location="x:1", source_id="x:1", values=values)


@pytest.mark.parametrize("case", cases("final_answers.json"), ids=lambda case: case["id"])
def test_gsm8k_final_answer(case: dict[str, Any]) -> None:
    row = record(question="a?", answer=case["answer"])
    if case["number"] is None:
        with pytest.raises(DataError, match="expected a text ending in '#### <number>'"):
            gsm8k_problem(row, FIELDS, "gsm8k", "train")
    else:
        assert gsm8k_problem(row, FIELDS, "gsm8k", "train").reference_answer == case["number"]


def test_gsm8k_solution_is_plain_text_and_its_steps_are_counted() -> None:
    row = record(question=" a? ", answer="4*12 = <<4*12=48>>48.\n48-30 = <<48-30=18>>18 are left.\n#### 18")
    problem = gsm8k_problem(row, FIELDS, "gsm8k", "train")
    assert problem.question == "a?"
    assert problem.reference_solution == "4*12 = 48.\n48-30 = 18 are left."
    assert problem.num_steps == 2


@pytest.mark.parametrize("case", cases("backward_kinds.json"), ids=lambda case: case["id"])
def test_a_backward_question_tells_its_kind(case: dict[str, Any]) -> None:
    row = record(question=case["question"], answer="$1,250", original_question="Ann has 1,250 figs. How many?")
    problem = backward_problem(row, FIELDS, "gsm8k_backward", "test")
    assert (problem.subject, problem.reference_answer) == (case["kind"], "1250")


@pytest.mark.parametrize("case", cases("boxed.json"), ids=lambda case: case["id"])
def test_last_boxed(case: dict[str, Any]) -> None:
    assert last_boxed(case["text"]) == case["boxed"]


@settings(deadline=None)
@given(inner=st.recursive(st.sampled_from(["5", r"\{", r"\}", "x "]), lambda part: part.map("{{{}}}".format) | part))
def test_last_boxed_returns_what_was_boxed(inner: str) -> None:
    assert last_boxed(rf"see \boxed{{0}}, so $\boxed{{{inner}}}$ }}") == inner.strip()


@pytest.mark.parametrize(
    ("level", "expected"), [("Level 3", "3"), (3, "3"), ("3", "3"), ("Level ?", None), (None, None), ("", None)]
)
def test_math_level(level: object, expected: str | None) -> None:
    row = record(problem="a?", solution=r"\boxed{1}", level=level)
    assert math_problem(row, MATH_FIELDS, "math", "train").level == expected


def test_math_answer_column_wins_over_the_box() -> None:
    row = record(
        problem="a?", solution=r"\boxed{}", answer=r"\frac{1}{2}", subject="Algebra", unique_id="test/a/1.json"
    )
    problem = math_problem(row, MATH_FIELDS, "math", "test")
    assert (problem.reference_answer, problem.subject, problem.source_id) == (
        r"\frac{1}{2}",
        "Algebra",
        "test/a/1.json",
    )
