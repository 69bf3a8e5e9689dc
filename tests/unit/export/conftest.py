from collections.abc import Callable

import pytest

from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Outcome,
    OutcomeStatus,
    Problem,
    WorkItem,
    content_id,
)


def completion(text: str, seed: int = 1) -> Completion:
    return Completion(
        text=text,
        finish_reason=FinishReason.STOP,
        num_prompt_tokens=9,
        num_completion_tokens=len(text.split()),
        seed=seed,
        model="teacher",
    )


@pytest.fixture(scope="session")
def make_outcome() -> Callable[..., Outcome]:
    """Return a maker of outcomes about one baker, each accepted and different unless told otherwise."""

    def make(
        number: int = 0,
        *,
        augmentation: Augmentation = Augmentation.ANSWER_AUGMENTATION,
        question: str = "A baker fills 4 trays with 12 rolls each. How many rolls?",
        answer: str = "48",
        source: str = "gsm8k",
        split: str = "train",
        status: OutcomeStatus = OutcomeStatus.ACCEPTED,
        reason: str = "",
        error: str = "",
        query: str | None = None,
        text: str | None = None,
    ) -> Outcome:
        problem = Problem(question=question, reference_answer=answer, source=source, split=split, source_id="x:1")
        item = WorkItem(
            item_id=content_id((number,)), problem=problem, augmentation=augmentation, mask=None, repeat=number
        )
        solution = f"Way {number}: 4*12 = 48." if text is None else text
        return Outcome(
            item=item,
            status=status,
            reason=reason,
            error=error,
            query=question if query is None else query,
            solution=completion(solution),
            expected_answer=answer,
            extracted_answer=answer,
        )

    return make
