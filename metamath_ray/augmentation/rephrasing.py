"""Rephrasing: a model says the question in other words (MetaMath, section 3.2)."""

import re

from metamath_ray.augmentation.reply import bare_reply
from metamath_ray.prompts import Task
from metamath_ray.types import WorkItem

TASK = Task.REPHRASE

# A rewrite is about as long as its question; what is far longer has run on, what is far shorter has lost the story.
_LONGEST = 3.0
_SHORTEST = 0.25
_SPARE_CHARACTERS = 80

_LABELS = "question|rephrased question|solution|answer|statement|explanation"
_RUN_ON = re.compile(rf"(?:^|\n)\W*(?:{_LABELS})\W*:|\bthe (?:final )?answer is\b", re.IGNORECASE)
_DEMAND = re.compile(
    r"\b(?:find|determine|compute|calculate|evaluate|express|simplify|solve|factor|expand|what|how|which|give)\b",
    re.IGNORECASE,
)


def prompt_fields(item: WorkItem) -> dict[str, str]:
    """Return what the rewriting prompt asks with."""
    return {"question": item.problem.question}


def read_rewrite(item: WorkItem, text: str) -> str | None:
    """Return the new question, or None if the text is not another wording of one.

    Whether it still asks the same is decided by its solution: the answer must be the original's.
    """
    question, original = bare_reply(text), item.problem.question.strip()
    if _words(question) == _words(original) or (_RUN_ON.search(question) and not _RUN_ON.search(original)):
        return None
    if "\n\n" in question and "\n\n" not in original:
        return None
    if (
        not _SHORTEST * len(original) - _SPARE_CHARACTERS
        <= len(question)
        <= _LONGEST * len(original) + _SPARE_CHARACTERS
    ):
        return None
    return question if "?" in question or _DEMAND.search(question) else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.casefold())
