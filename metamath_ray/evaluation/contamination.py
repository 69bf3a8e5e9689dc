"""Which evaluated problems stand in the rows that a model was trained on (`datasets.decontamination`)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from metamath_ray.datasets import ContaminationKind, Decontaminator
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import Record, parse_record

_QUESTION_FIELDS = ("query", "original_question", "question", "problem")


def contamination(questions: Mapping[str, Sequence[str]], training_rows: Iterable[str]) -> dict[str, dict[str, int]]:
    """Count the evaluated problems that a training row repeats, by kind of likeness.

    A problem counts once for each kind that some row shows. Where several problems are one text but for numbers, a row
    is laid at the door of the first.

    Args:
        questions: Name of an evaluation → the questions of its problems.
        training_rows: Files or folders of rows (JSON, JSON lines, parquet) with `query` and `original_question`, as a
            bootstrap exports them, or with `question` or `problem`.

    Raises:
        DataError: A file cannot be read, or a row has no question.
    """
    indices = {name: Decontaminator((name, question) for question in asked) for name, asked in questions.items()}
    hits: dict[str, dict[str, set[str]]] = {name: {} for name in questions}
    for text in _distinct(text for path in training_rows for text in _questions_of(path)):
        for name, index in indices.items():
            if found := index.check(text):
                hits[name].setdefault(found.kind.value, set()).add(found.test_question)
    return {
        name: {kind.value: len(found.get(kind.value, ())) for kind in ContaminationKind} for name, found in hits.items()
    }


def _questions_of(path: str) -> Iterator[str]:
    for raw in read_records(Path(path).expanduser()):
        record = parse_record(raw)
        yield from _questions_in(record)


def _questions_in(record: Record) -> list[str]:
    there = [field for field in _QUESTION_FIELDS if record.has(field)]
    if not there:
        record.reject("query", "the question of a training row (query, original_question, question or problem)")
    return [record.text(field) for field in there]


def _distinct(texts: Iterable[str]) -> Iterator[str]:
    seen: set[bytes] = set()
    for text in texts:
        key = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            yield text
