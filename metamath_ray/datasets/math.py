r"""MATH (Hendrycks et al., 2021) as published, and its JSONL forms: the answer is what the last `\boxed` holds."""

import re
from collections.abc import Mapping

from metamath_ray.datasets.records import Record
from metamath_ray.types import Problem

FIELDS: Mapping[str, str] = {
    "question": "problem",
    "answer": "answer",
    "solution": "solution",
    "subject": "type",
    "level": "level",
    "id": "unique_id",
}
"""Role → field. `answer` is optional: the published files have none and MATH-500 does."""

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LEVEL = re.compile(r"(?:Level )?(\d+)\Z")


def math_problem(record: Record, fields: Mapping[str, str], source: str, split: str) -> Problem:
    r"""Make a problem of a MATH record.

    The reference answer is the record's own, or else the contents of the last box of its solution, kept as LaTeX.
    "Level 3" and 3 both become "3"; "Level ?" becomes None.

    Raises:
        DataError: The problem or the solution is missing or empty, or there is no answer: no `\boxed`, an empty one
            (two rows of the published training set), or one that is never closed.
    """
    solution = record.text(fields["solution"])
    answer = record.optional_text(fields["answer"]) or last_boxed(solution)
    if not answer:
        record.reject(fields["solution"], r"a last \boxed{…} that is closed and not empty")
    level = _LEVEL.match(record.optional_text(fields["level"]))
    subject = record.optional_text(fields["subject"]) or record.optional_text("subject")
    return Problem(
        question=record.text(fields["question"]),
        reference_answer=answer,
        reference_solution=solution,
        source=source,
        split=split,
        source_id=record.optional_text(fields["id"]) or record.source_id,
        subject=subject or None,
        level=level[1] if level else None,
    )


def last_boxed(text: str) -> str | None:
    r"""Return what the last `\boxed` or `\fbox` holds, None when there is none or its brace is never closed.

    Braces may nest, and `\{` is not a brace: `\boxed{\left\{ \frac{1}{2} \right.}`. Without a brace (`\boxed 5`) the
    contents end at the dollar sign or the end of the line.
    """
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    start = boxes[-1].end()
    if not text.startswith("{", start):
        return re.split(r"[$\n]", text[start:], maxsplit=1)[0].strip().rstrip(".")
    depth = 0
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start + 1 : brace.start()].strip()
    return None
