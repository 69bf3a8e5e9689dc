import json
from pathlib import Path
from typing import TypedDict

import pytest

from metamath_ray.augmentation import find_masks, rephrasing, self_verification
from metamath_ray.types import Augmentation, Problem, WorkItem


class _Case(TypedDict):
    id: str
    augmentation: str
    question: str
    answer: str
    reply: str
    query: str | None


_CASES: list[_Case] = json.loads((Path(__file__).parents[2] / "data" / "augmentation_rewrites.json").read_text("utf-8"))


def _item(augmentation: Augmentation, question: str, answer: str) -> WorkItem:
    hidden = [mask for mask in find_masks(question) if mask.value in ("20", "2")]
    return WorkItem(
        item_id="item",
        problem=Problem(question=question, reference_answer=answer),
        augmentation=augmentation,
        mask=hidden[0] if augmentation.is_backward else None,
        repeat=0,
    )


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["id"])
def test_case(case: _Case) -> None:
    item = _item(Augmentation(case["augmentation"]), case["question"], case["answer"])
    module = self_verification if item.augmentation.is_backward else rephrasing
    assert module.read_rewrite(item, case["reply"]) == case["query"]


def test_the_statement_is_asked_for_with_the_last_question_alone() -> None:
    item = _item(Augmentation.SELF_VERIFICATION, "A pen costs $5.50. He has 20. If he buys 3, what is left?", "3.5")
    assert self_verification.prompt_fields(item) == {"question": "If he buys 3, what is left?", "answer": "3.5"}


def test_self_verification_needs_a_mask() -> None:
    item = _item(Augmentation.REPHRASING, "He has 20 figs. How many?", "20")
    with pytest.raises(ValueError, match="hides a number"):
        self_verification.read_rewrite(item, "He has 20.")
