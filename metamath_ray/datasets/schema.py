"""Which fields a source's records have, and so how a record becomes a problem."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from metamath_ray.datasets.gsm8k import FIELDS as GSM8K_FIELDS
from metamath_ray.datasets.gsm8k import ORIGINAL_QUESTION, backward_problem, gsm8k_problem, is_worked
from metamath_ray.datasets.math import FIELDS as MATH_FIELDS
from metamath_ray.datasets.math import math_problem
from metamath_ray.datasets.records import Record
from metamath_ray.datasets.source import ProblemSource
from metamath_ray.datasets.tabular import FIELDS as TABULAR_FIELDS
from metamath_ray.datasets.tabular import tabular_problem
from metamath_ray.errors import DataError
from metamath_ray.types import Problem

Maker = Callable[[Record, Mapping[str, str], str, str], Problem]
"""One of this package's readers: record, role → field, source, split → problem."""

_SPLIT_WORDS = {
    "test": ("test",),
    "validation": ("validation", "valid", "val", "dev"),
    "train": ("train", "training"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """How one source's records become problems.

    Attributes:
        make: The reader of one record.
        fields: Role → field, the user's own mapping included.
        name: Name of the source.
        split: The split that the user stated; None lets each record say it.
        default_split: Of records that do not.
    """

    make: Maker
    fields: Mapping[str, str]
    name: str
    split: str | None
    default_split: str

    def problem(self, record: Record) -> Problem:
        """Make the problem of one record, or raise `DataError`."""
        split = self.split or self._stated_split(record) or self.default_split
        return self.make(record, self.fields, self.name, split)

    def _stated_split(self, record: Record) -> str | None:
        """Return the split that opens the record's id ("test/algebra/1.json") or its place in a folder."""
        return _split_in(record.optional_text(self.fields.get("id", "id"))) or _split_in(record.source_id)


def schema_of(record: Record, source: ProblemSource) -> Schema:
    """Choose the schema of a source by its stated format or, for "auto" and the Hub, by the fields of one record.

    Raises:
        DataError: The fields fit no known format.
    """
    make, fields, name, default_split = _recognize(record, source)
    return Schema(
        make=make,
        fields={**fields, **source.fields},
        name=source.name or name,
        split=source.split,
        default_split=default_split,
    )


def _recognize(record: Record, source: ProblemSource) -> tuple[Maker, Mapping[str, str], str, str]:
    """Return reader, its fields, the source's name and its split where nothing else tells it."""
    names = record.values.keys()
    is_open = source.format in ("auto", "huggingface") and not source.fields
    is_worked_out = is_open and "question" in names and is_worked(record.value("answer"))
    is_backward = is_open and {"question", "answer", ORIGINAL_QUESTION} <= names and not is_worked_out
    if source.format == "gsm8k_backward" or is_backward:
        return backward_problem, GSM8K_FIELDS, "gsm8k_backward", "test"
    if source.format == "gsm8k" or is_worked_out:
        return gsm8k_problem, GSM8K_FIELDS, "gsm8k", "train"
    if source.format == "math" or (is_open and {"problem", "solution"} <= names):
        return math_problem, MATH_FIELDS, "math", "train"
    if not is_open or {"question", "answer"} <= names:
        return tabular_problem, TABULAR_FIELDS, _table_name(source), "train"
    raise DataError(
        f"{record.location}: the format cannot be told from the fields {', '.join(sorted(names)) or '(none)'}: "
        "expected question and answer, or problem and solution; else name the columns with `fields`"
    )


def _table_name(source: ProblemSource) -> str:
    """Return "orca" for "data/orca.jsonl.gz" and for "org/orca"."""
    return PurePath(source.path or "unknown").name.split(".")[0]


def _split_in(text: str) -> str | None:
    """Return the split that a name tells, the one most worth protecting when it tells two."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return next((split for split, signs in _SPLIT_WORDS.items() if words.intersection(signs)), None)
