import json
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.augmentation import apply_mask, find_masks
from metamath_ray.augmentation.masking import unused_variable
from metamath_ray.types import Mask


class _Expected(TypedDict, total=False):
    text: str
    value: str
    masked: str
    ambiguous: bool


class _Case(TypedDict):
    id: str
    question: str
    masks: list[_Expected]


_CASES: list[_Case] = json.loads((Path(__file__).parents[2] / "data" / "masking_cases.json").read_text("utf-8"))

_WORDS = r"""
    Ann has 5 $7 $1,250.50 3/4 2 1/2 -8 twenty twenty-five half the twice as a dozen one of 10-minute 30% x y $x$ 0.5
    1st $\frac{1}{2}$ $3\sqrt2$ $a_1^{10}$ \$4 [asy] [/asy] hundred and . , ? ( ) - \cdot2
"""
_PIECES = st.sampled_from([" ", *_WORDS.split()])
_TEXTS = st.one_of(st.text(max_size=80), st.lists(_PIECES, max_size=20).map(" ".join), st.lists(_PIECES).map("".join))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_case(case: _Case) -> None:
    question = case["question"]
    found: list[_Expected] = []
    for mask in find_masks(question):
        expected: _Expected = {"text": mask.text, "value": mask.value, "masked": apply_mask(question, mask)}
        if mask.is_ambiguous:
            expected["ambiguous"] = True
        found.append(expected)
    assert found == case["masks"]


def test_case_ids_are_unique() -> None:
    ids = [case["id"] for case in _CASES]
    assert len(ids) == len(set(ids))


@given(_TEXTS)
def test_masks_are_ordered_disjoint_spans_of_numbers(question: str) -> None:
    end = 0
    for mask in find_masks(question):
        assert end <= mask.start < mask.end <= len(question)
        assert question[mask.start : mask.end] == mask.text
        Fraction(mask.value)
        end = mask.end


@given(_TEXTS)
def test_a_mask_changes_nothing_but_its_number(question: str) -> None:
    for mask in find_masks(question):
        masked = apply_mask(question, mask)
        assert masked.startswith(question[: mask.start])
        assert masked.endswith(question[mask.end :])
        hidden = masked[mask.start : len(masked) - len(question) + mask.end]
        assert hidden.split()[0] == mask.variable


@given(_TEXTS)
def test_variable_is_not_a_name_of_the_question(question: str) -> None:
    variable = unused_variable(question)
    words = "".join(character if character.isalnum() else " " for character in question).split()
    assert variable not in words


@given(
    st.integers(2, 10**9), st.sampled_from(["He has {} figs.", "It cost ${} today.", "A {}-day trip.", "So $y = {}$."])
)
def test_an_integer_is_found_with_and_without_separators(number: int, sentence: str) -> None:
    for written in (str(number), f"{number:,}"):
        assert [mask.value for mask in find_masks(sentence.format(written))] == [str(number)]


def test_digits_beyond_measure_are_no_number() -> None:
    assert find_masks(f"The code is {'7' * 5000}.") == []


def test_a_long_text_is_read_in_linear_time() -> None:
    assert len(find_masks(r"$a$ He has 5 figs \sqrt ( [ half. " * 1000)) == 2000


def test_a_mask_of_another_question_is_refused() -> None:
    mask = Mask(start=0, end=1, text="5", value="5", variable="x")
    with pytest.raises(ValueError, match="another question"):
        apply_mask("7 figs", mask)
