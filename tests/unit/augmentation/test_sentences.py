import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.augmentation import split_last_question
from metamath_ray.augmentation.sentences import last_question_span, sentence_spans

_CASES: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "data" / "augmentation_sentences.json").read_text("utf-8")
)
_TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "Ann",
                "Mr.",
                "3.5",
                "$5.50",
                "a.m.",
                "?",
                ".",
                "!",
                '"',
                "\n",
                "\n\n",
                " ",
                "How",
                "many",
                "$a.$",
                "[asy]",
                "[/asy]",
            ]
        )
    ).map("".join),
)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_case(case: dict[str, str]) -> None:
    assert split_last_question(case["question"]) == (case["context"], case["asked"])


@given(_TEXTS)
def test_the_question_is_a_trimmed_piece_of_the_text(text: str) -> None:
    start, end = last_question_span(text)
    assert text[start:end] == text[start:end].strip()
    assert split_last_question(text)[1] == text[start:end]


@given(_TEXTS)
def test_sentences_are_ordered_and_disjoint(text: str) -> None:
    reached = 0
    for start, end in sentence_spans(text):
        assert reached <= start < end <= len(text)
        reached = end
