import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.errors import DataError
from metamath_ray.export import MetaMathQARow, read_rows, row_of, row_type
from metamath_ray.export.metamathqa import without_final_answer
from metamath_ray.types import Augmentation, Outcome

SENTENCES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "export" / "final_sentences.json").read_text()
)
ROW = {"query": "One?", "response": "It is 1.\nThe answer is: 1", "type": "MATH_AnsAug", "original_question": "One?"}


@pytest.mark.parametrize("case", SENTENCES, ids=lambda case: case["id"])
def test_final_answer_is_cut_and_nothing_else(case: dict[str, Any]) -> None:
    answers = {case["answer"], case.get("extracted", case["answer"])}
    assert without_final_answer(case["text"], answers) == case["body"]


@settings(deadline=None)
@given(body=st.text(max_size=60), answer=st.integers(0, 9999).map(str))
def test_what_was_appended_is_cut_again(body: str, answer: str) -> None:
    once = without_final_answer(body, {answer})
    assert without_final_answer(f"{once}\n#### {answer}\nThe answer is: {answer}", {answer}) == once
    assert body.strip().startswith(once)


@pytest.mark.parametrize(
    ("source", "ending"), [("gsm8k", "\n#### 48\nThe answer is: 48"), ("math", "\nThe answer is: 48")]
)
def test_response_ends_as_in_metamathqa(make_outcome: Callable[..., Outcome], source: str, ending: str) -> None:
    row = row_of(make_outcome(text=" 4*12 = 48.\nThe answer is 48. ", source=source))
    assert row.response == "4*12 = 48." + ending


def test_backward_response_ends_in_the_masked_number(make_outcome: Callable[..., Outcome]) -> None:
    outcome = replace(
        make_outcome(
            augmentation=Augmentation.FOBAR, query="A baker fills x trays…", text="12x = 48.\nThe value of x is 4."
        ),
        expected_answer="4",
        extracted_answer="4",
    )
    assert row_of(outcome) == MetaMathQARow(
        query="A baker fills x trays…",
        response="12x = 48.\nThe value of x is 4.\n#### 4\nThe answer is: 4",
        type="GSM_FOBAR",
        original_question=outcome.item.problem.question,
    )


@pytest.mark.parametrize(
    ("source", "augmentation", "expected"),
    [
        ("gsm8k", Augmentation.ANSWER_AUGMENTATION, "GSM_AnsAug"),
        ("math", Augmentation.REPHRASING, "MATH_Rephrased"),
        ("word_problems", Augmentation.SELF_VERIFICATION, "WORD_PROBLEMS_SV"),
        ("my-set v1.0", Augmentation.FOBAR, "MY_SET_V1_0_FOBAR"),
        ("", Augmentation.FOBAR, "UNKNOWN_FOBAR"),
    ],
)
def test_type_names_source_and_augmentation(source: str, augmentation: Augmentation, expected: str) -> None:
    assert row_type(source, augmentation) == expected
    assert MetaMathQARow(query="q", response="r", type=expected, original_question="o").augmentation is augmentation


def test_type_of_another_make_has_no_augmentation() -> None:
    assert MetaMathQARow(query="q", response="r", type="GSM_Seed", original_question="o").augmentation is None


def test_an_outcome_without_solution_has_no_row(make_outcome: Callable[..., Outcome]) -> None:
    with pytest.raises(ValueError, match="has no solution"):
        row_of(replace(make_outcome(), solution=None))


@pytest.mark.parametrize("is_array", [True, False])
def test_public_files_are_read(tmp_path: Path, is_array: bool) -> None:
    path = tmp_path / "MetaMathQA.json"
    rows = [ROW, {**ROW, "extra": 1}]
    path.write_text(json.dumps(rows) if is_array else "\n".join(map(json.dumps, rows)))
    read = list(read_rows(path))
    assert [row.as_dict() for row in read] == [ROW, ROW]
    assert list(read[0].as_dict()) == ["query", "response", "type", "original_question"]


def test_row_without_a_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "response": ""}))
    with pytest.raises(DataError, match=r"rows.jsonl:2: field 'response': expected a text that is not empty"):
        list(read_rows(path))
