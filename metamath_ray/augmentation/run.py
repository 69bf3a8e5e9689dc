"""One work item from its plan to its outcome."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metamath_ray.augmentation import answer_augmentation, fobar, rephrasing, self_verification
from metamath_ray.augmentation.sampling import Sampler
from metamath_ray.augmentation.solve_and_check import solve_and_check
from metamath_ray.errors import RequestRejected
from metamath_ray.inference import CompletionEngine
from metamath_ray.prompts import Renderer, Task
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus, RejectionReason, SamplingParameters, WorkItem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rewriting:
    """How an augmentation asks a model for a question, and how it reads the reply (None: not one)."""

    task: Task
    prompt_fields: Callable[[WorkItem], Mapping[str, str]]
    read_rewrite: Callable[[WorkItem, str], str | None]


_WRITERS: dict[Augmentation, Callable[[WorkItem], str]] = {
    Augmentation.ANSWER_AUGMENTATION: answer_augmentation.write_question,
    Augmentation.FOBAR: fobar.write_question,
}
_REWRITINGS = {
    augmentation: _Rewriting(task=module.TASK, prompt_fields=module.prompt_fields, read_rewrite=module.read_rewrite)
    for augmentation, module in (
        (Augmentation.REPHRASING, rephrasing),
        (Augmentation.SELF_VERIFICATION, self_verification),
    )
}


async def run_item(
    item: WorkItem,
    *,
    engine: CompletionEngine,
    renderer: Renderer,
    rewrite_sampling: SamplingParameters,
    solve_sampling: SamplingParameters,
) -> Outcome:
    """Write the item's question, solve it and check the answer: one item, one outcome.

    Raises:
        EngineUnavailable: The engine is at fault; the item may be run again, with the same seeds.
        AccessDenied: The engine refuses the caller's credentials.
        PromptError: The prompt set does not fit the task or the model.
    """
    sampler = Sampler(engine=engine, renderer=renderer)
    try:
        if item.augmentation in _WRITERS:
            query = _WRITERS[item.augmentation](item)
            return await solve_and_check(item, query, None, sampler, solve_sampling)
        return await _rewrite_and_solve(item, sampler, rewrite_sampling, solve_sampling)
    except RequestRejected as error:
        return Outcome(item=item, status=OutcomeStatus.FAILED, reason="request_rejected", error=str(error))


async def _rewrite_and_solve(
    item: WorkItem, sampler: Sampler, rewrite_sampling: SamplingParameters, solve_sampling: SamplingParameters
) -> Outcome:
    rewriting = _REWRITINGS[item.augmentation]
    fields = rewriting.prompt_fields(item)
    rewrite = await sampler.sample(item, "rewrite", rewriting.task, fields, rewrite_sampling)
    query = None if rewrite.is_truncated else rewriting.read_rewrite(item, rewrite.text)
    if query is None:
        reason = RejectionReason.TRUNCATED if rewrite.is_truncated else RejectionReason.BAD_REWRITE
        return Outcome(item=item, status=OutcomeStatus.REJECTED, reason=reason, rewrite=rewrite)
    return await solve_and_check(item, query, rewrite, sampler, solve_sampling)
