"""The end that all four augmentations share: solve the new question, keep it if the known answer comes out."""

import asyncio
from dataclasses import replace

from metamath_ray.augmentation.sampling import Sampler
from metamath_ray.grading import grade, rejection
from metamath_ray.prompts import Task
from metamath_ray.types import (
    Completion,
    Outcome,
    OutcomeStatus,
    RejectionReason,
    SamplingParameters,
    WorkItem,
)


async def solve_and_check(
    item: WorkItem, query: str, rewrite: Completion | None, sampler: Sampler, sampling: SamplingParameters
) -> Outcome:
    """Sample one solution of the new question and grade it against what is known.

    A forward question must give the ORIGINAL reference answer, which is the only check of a rephrasing; a backward
    question must give the hidden number.
    """
    expected = item.mask.value if item.mask else item.problem.reference_answer
    task = Task.SOLVE_BACKWARD if item.augmentation.is_backward else Task.SOLVE
    fields = {"question": query, "variable": item.mask.variable if item.mask else "x"}
    solution = await sampler.sample(item, "solve", task, fields, sampling)
    outcome = Outcome(
        item=item,
        status=OutcomeStatus.REJECTED,
        query=query,
        rewrite=rewrite,
        solution=solution,
        expected_answer=expected,
    )
    if solution.is_truncated:
        return replace(outcome, reason=RejectionReason.TRUNCATED)
    # Grading may wait for a worker process; the event loop has other rows to serve meanwhile.
    result = await asyncio.to_thread(grade, solution.text, expected)
    outcome = replace(outcome, extracted_answer=result.extracted_answer)
    reason = rejection(result)
    return replace(outcome, reason=reason) if reason else replace(outcome, status=OutcomeStatus.ACCEPTED)
