"""Records that tests are made of."""

from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Mask,
    Outcome,
    OutcomeStatus,
    Problem,
    WorkItem,
    content_id,
)


def make_problem(question: str = "Ann has 3 pears and buys 4 more. How many has she?", answer: str = "7") -> Problem:
    return Problem(question=question, reference_answer=answer, source="word_problems", num_steps=1)


def make_item(number: int = 0, *, augmentation: Augmentation = Augmentation.ANSWER_AUGMENTATION) -> WorkItem:
    mask = Mask(start=8, end=9, text="3", value="3", variable="x") if augmentation.is_backward else None
    item_id = content_id((number, augmentation.value))
    return WorkItem(item_id=item_id, problem=make_problem(), augmentation=augmentation, mask=mask, repeat=number)


def make_completion(text: str = "3 + 4 = 7\nThe answer is: 7", *, seed: int = 1) -> Completion:
    return Completion(
        text=text,
        finish_reason=FinishReason.STOP,
        num_prompt_tokens=10,
        num_completion_tokens=5,
        seed=seed,
        model="scripted",
    )


def make_outcome(number: int = 0, *, status: OutcomeStatus = OutcomeStatus.ACCEPTED) -> Outcome:
    item = make_item(number)
    accepted = status is OutcomeStatus.ACCEPTED
    return Outcome(
        item=item,
        status=status,
        reason="" if accepted else "wrong_answer",
        query=item.problem.question,
        solution=make_completion(),
        expected_answer="7",
        extracted_answer="7" if accepted else "8",
    )
