r"""Rows of MetaMathQA: their fields, how a response ends, and how public files of them are read.

A row has four fields: `query`, `response`, `type` ("GSM_AnsAug", "MATH_FOBAR", …) and `original_question`. A response
ends in "\nThe answer is: {answer}"; rows of GSM8K carry "#### {answer}" on the line before. A backward row keeps its
"The value of x is 5." above both, as all of the public backward rows do.
"""

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import parse_record
from metamath_ray.types import Augmentation, Outcome

SOURCE_TAGS = {"gsm8k": "GSM", "math": "MATH"}
AUGMENTATION_TAGS = {
    Augmentation.ANSWER_AUGMENTATION: "AnsAug",
    Augmentation.REPHRASING: "Rephrased",
    Augmentation.SELF_VERIFICATION: "SV",
    Augmentation.FOBAR: "FOBAR",
}

_FINAL_SENTENCE = re.compile(
    r"""(?: ^ | (?<=[.!?:;]\s) | (?<=[.!?]\$\s) | (?<=[.!?]\s\s) )
    [ \t*]*
    (?:
        \#\#\#\#
      | (?:(?:so|thus|hence|therefore|finally)\b,?\s*)? (?:the|our|my)\s+(?:final\s+)?answer\s+is\b
      | (?:final\s+)?answer(?=[\s*]*:)
    )
    [:\s*]*
    (?P<statement>(?:(?![.!?]\s+\S)[^\n])*)\Z""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_DRESS = re.compile(r"\\(?:boxed|text|mathrm|left|right|[!,;%()\[\]])|[\s{}$*,%]|\.(?!\d)")
_UNIT = re.compile(r"(?:\s+[A-Za-z]+){1,2}[\s.!*]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaMathQARow:
    """One training example, in the public wire format."""

    query: str
    response: str
    type: str
    original_question: str

    @property
    def augmentation(self) -> Augmentation | None:
        """The augmentation that `type` names, None for a type of another make."""
        tag = self.type.rpartition("_")[2]
        return next((augmentation for augmentation, name in AUGMENTATION_TAGS.items() if name == tag), None)

    def as_dict(self) -> dict[str, str]:
        """Return the four wire fields, in their public order."""
        return {
            "query": self.query,
            "response": self.response,
            "type": self.type,
            "original_question": self.original_question,
        }


def row_of(outcome: Outcome) -> MetaMathQARow:
    """Make the row of an accepted outcome.

    Raises:
        ValueError: The outcome has no query or no solution.
    """
    if not outcome.query or outcome.solution is None:
        raise ValueError(f"item {outcome.item.item_id} has no {'solution' if outcome.query else 'query'} to export")
    problem = outcome.item.problem
    return MetaMathQARow(
        query=outcome.query,
        response=_response(outcome, outcome.solution.text),
        type=row_type(problem.source, outcome.item.augmentation),
        original_question=problem.question,
    )


def row_type(source: str, augmentation: Augmentation) -> str:
    """Return the tag of a row: "GSM_SV", "MATH_Rephrased", "WORD_PROBLEMS_AnsAug"."""
    tag = SOURCE_TAGS.get(source) or re.sub(r"\W+", "_", source).strip("_").upper() or "UNKNOWN"
    return f"{tag}_{AUGMENTATION_TAGS[augmentation]}"


def read_rows(path: Path) -> Iterator[MetaMathQARow]:
    """Stream the rows of a MetaMathQA file: JSON lines, one JSON array, or parquet; other fields are ignored.

    Raises:
        DataError: The file cannot be read or is empty, or a row lacks one of the four fields.
    """
    for raw in read_records(path):
        record = parse_record(raw)
        yield MetaMathQARow(
            query=record.text("query"),
            response=record.text("response"),
            type=record.text("type"),
            original_question=record.text("original_question"),
        )


def _response(outcome: Outcome, text: str) -> str:
    answer = outcome.expected_answer
    body = without_final_answer(text, {answer, outcome.extracted_answer or answer})
    is_gsm8k = outcome.item.problem.source == "gsm8k"
    lines = [body, f"#### {answer}" if is_gsm8k else "", f"The answer is: {answer}"]
    return "\n".join(line for line in lines if line)


def without_final_answer(text: str, answers: Set[str]) -> str:
    """Cut the sentences at the end that only repeat the answer: "#### 5", "So the answer is $5.", "Answer: 5 apples".

    A sentence that says more than the answer and its unit stays, whatever it begins with.
    """
    text = text.strip()
    while (match := _FINAL_SENTENCE.search(text, text.rfind("\n") + 1)) and _only_states(match["statement"], answers):
        text = text[: match.start()].rstrip()
    return text


def _only_states(statement: str, answers: Set[str]) -> bool:
    stated = {_undressed(statement), _undressed(_UNIT.sub("", statement))}
    return not stated.isdisjoint(map(_undressed, answers))


def _undressed(answer: str) -> str:
    """Return the answer without spaces, dollars, percent signs, thousands commas, boxes and its final stop."""
    return _DRESS.sub("", answer).casefold()
