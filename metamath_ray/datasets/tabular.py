"""Any table of questions and answers: the columns are named by a field mapping."""

from collections.abc import Mapping

from metamath_ray.datasets.gsm8k import is_worked
from metamath_ray.datasets.records import Record
from metamath_ray.types import Problem

ROLES = ("question", "answer", "solution", "subject", "level", "num_steps", "id")
"""What a column can be to a `Problem`; the first two are required."""

FIELDS: Mapping[str, str] = {role: role for role in ROLES}
"""Role → column. "a.b" descends into nested objects."""


def tabular_problem(record: Record, fields: Mapping[str, str], source: str, split: str) -> Problem:
    """Make a problem of a row; the answer may be a text or a number and is kept as it stands.

    Raises:
        DataError: The question or the answer is missing, empty or of another type, or the answer is a worked one.
    """
    if is_worked(record.value(fields["answer"])):
        record.reject(fields["answer"], "the final answer alone (for '#### <number>' use format gsm8k)")
    return Problem(
        question=record.text(fields["question"]),
        reference_answer=record.text_or_number(fields["answer"]),
        reference_solution=record.optional_text(fields["solution"]),
        source=source,
        split=split,
        source_id=record.optional_text(fields["id"]) or record.source_id,
        subject=record.optional_text(fields["subject"]) or None,
        level=record.optional_text(fields["level"]) or None,
        num_steps=record.optional_count(fields["num_steps"]),
    )
