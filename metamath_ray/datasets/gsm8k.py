"""GSM8K as published (openai/grade-school-math), and the backward questions that MetaMath made of its test set."""

import re
from collections.abc import Mapping

from metamath_ray.datasets.records import Record
from metamath_ray.types import Problem

FIELDS: Mapping[str, str] = {"question": "question", "answer": "answer"}
"""Role → field; the repository's example_model_solutions.jsonl keeps the answer in `ground_truth`."""

ORIGINAL_QUESTION = "original_question"
"""Field of a backward row: the question before its number was masked."""

_FINAL_LINE = re.compile(r"(?:####|A:)\s*(-?\$?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?<=\d))\Z")
_CALCULATOR_MARK = re.compile(r"<<[^<>]*>>")
_PLAIN_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?\Z")
_KINDS = {
    "FOBAR": re.compile(r"if we know the answer (?:to|of) the above question is", re.IGNORECASE),
    "SV": re.compile(r"what is the value of (?:the )?unknown variable \w+\s*\?\Z", re.IGNORECASE),
}
"""How a backward question tells its kind; that of FOBAR ends as that of self-verification does, so it comes first."""


def gsm8k_problem(record: Record, fields: Mapping[str, str], source: str, split: str) -> Problem:
    """Make a problem of a question and a worked answer that ends in "#### <number>" (or "A: <number>").

    The reference answer loses its thousands commas ("1,250" → "1250"); the reference solution loses the calculator
    marks (`<<48/2=24>>`) and the final line. `num_steps` is the number of marks, where there are any.

    Raises:
        DataError: A field is missing or empty, or the answer does not end in a number.
    """
    expected = "a text ending in '#### <number>'"
    answer = record.text(fields["answer"], expected)
    solution, _, final_line = answer.rpartition("\n")
    match = _FINAL_LINE.match(final_line)
    if match is None:
        record.reject(fields["answer"], expected)
    return Problem(
        question=record.text(fields["question"]),
        reference_answer=plain_number(match[1]),
        reference_solution=_CALCULATOR_MARK.sub("", solution).strip(),
        source=source,
        split=split,
        source_id=record.source_id,
        num_steps=len(_CALCULATOR_MARK.findall(answer)) or None,
    )


def backward_problem(record: Record, fields: Mapping[str, str], source: str, split: str) -> Problem:
    """Make a problem of a row of GSM8K_Backward.jsonl, in either of its two schemas.

    `answer` is the masked number. What the rows keep beside it (`output`, `inv_question_pred_answer`) are a model's
    attempts, right or wrong, and no reference solutions. The question before its number was masked becomes the
    `source_id`, by which a problem finds its original; the subject is "FOBAR" or "SV", where the question tells.

    Raises:
        DataError: A field is missing or empty, or the answer is not a number.
    """
    question = record.text(fields["question"])
    number = record.text_or_number(fields["answer"], "a number")
    if not _PLAIN_NUMBER.match(number):
        record.reject(fields["answer"], "a number")
    return Problem(
        question=question,
        reference_answer=plain_number(number),
        source=source,
        split=split,
        source_id=record.text(ORIGINAL_QUESTION),
        subject=next((kind for kind, pattern in _KINDS.items() if pattern.search(question)), None),
    )


def is_worked(answer: object) -> bool:
    """Whether an answer is a worked one, with GSM8K's mark before the number."""
    return isinstance(answer, str) and "####" in answer


def plain_number(text: str) -> str:
    """Return the number without thousands commas and dollar sign: "$1,250" → "1250"."""
    return text.replace(",", "").replace("$", "")
