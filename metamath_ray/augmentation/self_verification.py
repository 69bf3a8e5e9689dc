"""Self-Verification: the last question and its answer as a statement, a number hidden and asked for (section 3.3)."""

import re
from fractions import Fraction

from metamath_ray.augmentation.masking import apply_mask
from metamath_ray.augmentation.numbers import find_mentions
from metamath_ray.augmentation.reply import bare_reply
from metamath_ray.augmentation.sentences import last_question_span, split_last_question
from metamath_ray.prompts import Task
from metamath_ray.types import Mask, WorkItem

TASK = Task.STATEMENT

_TYPESETTING = re.compile(r"[${}]|\\[!,;:]|\\left\b|\\right\b|\\(?=%)")
_TOKEN = re.compile(r"\\?[A-Za-z]+|\d+(?:\.\d+)?|[^\s\w]")


def prompt_fields(item: WorkItem) -> dict[str, str]:
    """Return what the rewriting prompt asks with: the last question sentence alone, and the answer."""
    _, asked = split_last_question(item.problem.question)
    return {"question": asked, "answer": item.problem.reference_answer}


def read_rewrite(item: WorkItem, text: str) -> str | None:
    """Return the backward question, or None if the text does not state the answer, or states the hidden number."""
    mask = item.mask
    if mask is None:
        raise ValueError("a Self-Verification item hides a number")
    statement = " ".join(bare_reply(text).split())
    if not statement or "?" in statement or not _states(statement, item.problem.reference_answer):
        return None
    if _leaks(statement, mask, item.problem.reference_answer):
        return None
    if statement[-1] not in ".!":
        statement += "."
    told = _with_statement(item.problem.question, mask, statement)
    return f"{told} What is the value of unknown variable {mask.variable}?"


def _with_statement(question: str, mask: Mask, statement: str) -> str:
    """Hide the number, and let the statement take the place of the last question sentence."""
    start, end = last_question_span(question)
    masked = apply_mask(question, mask)
    if mask.start < start:
        moved = len(masked) - len(question)
        start, end = start + moved, end + moved
    return f"{masked[:start]}{statement}{masked[end:]}".strip()


def _states(statement: str, answer: str) -> bool:
    """Whether the answer stands in the statement: a number in any form, anything else as it is written."""
    bare = answer.strip("$ ")
    mentions = find_mentions(bare)
    if len(mentions) == 1 and (mentions[0].start, mentions[0].end) == (0, len(bare)):
        return mentions[0].value in _values(statement)
    text, sought = (_TOKEN.findall(_TYPESETTING.sub(" ", part)) for part in (statement, bare))
    return any(text[first : first + len(sought)] == sought for first in range(len(text)))


def _leaks(statement: str, mask: Mask, answer: str) -> bool:
    return not mask.is_ambiguous and Fraction(mask.value) in _values(statement) - _values(answer)


def _values(text: str) -> set[Fraction]:
    return {mention.value for mention in find_mentions(text)}
