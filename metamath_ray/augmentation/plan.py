"""From problems to work items: which questions to make, each with an id that decides its outcome."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction

from metamath_ray.augmentation.masking import find_masks
from metamath_ray.augmentation.numbers import find_mentions
from metamath_ray.augmentation.sentences import last_question_span
from metamath_ray.types import Augmentation, Mask, Problem, SamplingParameters, WorkItem, content_id


@dataclass(slots=True)
class PlanSummary:
    """What a plan took and left out, counted while it is drawn.

    Attributes:
        num_without_answer: Problems left out because they have no reference answer.
        num_without_masks: Problems that get no backward question, because none of their numbers can be hidden.
        num_masks: Numbers that could be hidden, the ambiguous ones included.
        num_ambiguous_masks: Numbers left out because the question, or its answer, states the same value again.
        num_items: Work items by augmentation.
    """

    num_problems: int = 0
    num_duplicates: int = 0
    num_without_answer: int = 0
    num_without_masks: int = 0
    num_masks: int = 0
    num_ambiguous_masks: int = 0
    num_items: Counter[Augmentation] = field(default_factory=Counter)


def fingerprint(prompt_set_hash: str, model: str, sampling: Mapping[str, SamplingParameters]) -> str:
    """Hash what a run asks with: its prompts, its model and how each stage ("rewrite", "solve") is sampled."""
    stages = {stage: asdict(parameters) for stage, parameters in sampling.items()}
    return content_id((prompt_set_hash, model, json.dumps(stages, sort_keys=True)))


def plan_items(
    problems: Iterable[Problem],
    *,
    repeats: Mapping[Augmentation, int],
    fingerprint: str,
    include_ambiguous: bool = False,
    max_masks: int | None = None,
    summary: PlanSummary | None = None,
) -> Iterator[WorkItem]:
    """Draw the work items of the problems, lazily and always the same.

    More repeats, more masks or more problems add items and change none. A problem that occurs twice is planned once.

    Args:
        problems: The seeds.
        repeats: K for each augmentation; one that is absent is not used.
        fingerprint: What the run asks with (`fingerprint`).
        include_ambiguous: Also hide numbers whose value stands elsewhere in the question or is its answer.
        max_masks: At most this many numbers hidden a problem; which ones, its content decides.
        summary: Counts what is taken and left out, if given.

    Raises:
        ValueError: A number of repeats is negative.
    """
    if any(times < 0 for times in repeats.values()):
        raise ValueError(f"repeats must not be negative: {dict(repeats)}")
    summary = summary if summary is not None else PlanSummary()
    backward = any(repeats.get(augmentation, 0) for augmentation in Augmentation if augmentation.is_backward)
    seen: set[str] = set()
    for problem in problems:
        summary.num_problems += 1
        if problem.problem_id in seen:
            summary.num_duplicates += 1
            continue
        seen.add(problem.problem_id)
        if not problem.reference_answer.strip():
            summary.num_without_answer += 1
            continue
        masks = _masks(problem, include_ambiguous, max_masks, summary) if backward else []
        for item in _items(problem, masks, repeats, fingerprint):
            summary.num_items[item.augmentation] += 1
            yield item


def _masks(problem: Problem, include_ambiguous: bool, max_masks: int | None, summary: PlanSummary) -> list[Mask]:
    found = find_masks(problem.question)
    answer = {mention.value for mention in find_mentions(problem.reference_answer)}
    kept = [mask for mask in found if not mask.is_ambiguous and Fraction(mask.value) not in answer]
    summary.num_masks += len(found)
    if include_ambiguous:
        kept = found
    summary.num_ambiguous_masks += len(found) - len(kept)
    if not kept:
        summary.num_without_masks += 1
    if max_masks is not None:
        chosen = sorted(kept, key=lambda mask: content_id((problem.problem_id, mask.start)))[:max_masks]
        kept = sorted(chosen, key=lambda mask: mask.start)
    return kept


def _items(
    problem: Problem, masks: list[Mask], repeats: Mapping[Augmentation, int], fingerprint: str
) -> Iterator[WorkItem]:
    asked_from, asked_to = last_question_span(problem.question)
    stated = [mask for mask in masks if mask.end <= asked_from or mask.start >= asked_to]
    targets: dict[Augmentation, list[Mask | None]] = {
        Augmentation.ANSWER_AUGMENTATION: [None],
        Augmentation.REPHRASING: [None],
        # A number of the last question sentence would stand open in the statement made of it.
        Augmentation.SELF_VERIFICATION: [*stated],
        Augmentation.FOBAR: [*masks],
    }
    for augmentation, masked in targets.items():
        for mask in masked:
            for repeat in range(repeats.get(augmentation, 0)):
                yield _item(problem, augmentation, mask, repeat, fingerprint)


def _item(problem: Problem, augmentation: Augmentation, mask: Mask | None, repeat: int, fingerprint: str) -> WorkItem:
    hidden = (mask.start, mask.end, mask.variable) if mask else ()
    content = (problem.question, problem.reference_answer, augmentation.value, hidden, repeat, fingerprint)
    return WorkItem(item_id=content_id(content), problem=problem, augmentation=augmentation, mask=mask, repeat=repeat)
