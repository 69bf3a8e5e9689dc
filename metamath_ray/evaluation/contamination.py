"""Which evaluated problems stand in the rows that a model was trained on (`datasets.decontamination`)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from metamath_ray.datasets import ContaminationKind, Decontaminator
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import Record, parse_record
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.dataset_files import DATASET_TABLE
from metamath_ray.storage.locations import expanded, local_copy
from metamath_ray.storage.samples import SAMPLES_FILE

_QUESTION_FIELDS = ("query", "original_question", "question", "problem.question")
_OF_A_RUN = (DATASET_TABLE, (SAMPLES_FILE,), ("plan.parquet",))
"""What of a run's folder holds the questions that were learned: its data set, else its samples, else its problems."""


def contamination(
    questions: Mapping[str, Sequence[str]], training_rows: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """Count the evaluated problems that a training row repeats, by kind of likeness.

    A problem counts once for each kind that some row shows. Where several problems are one text but for numbers, a row
    is laid at the door of the first.

    Args:
        questions: Name of an evaluation → the questions of its problems.
        training_rows: Name of an evaluation → files or folders of rows (JSON, JSON lines, parquet), here or in a
            bucket, with `query` and `original_question`, as a bootstrap exports them, with `question` or `problem`, or
            of samples; or run directories.

    Returns:
        The counts of those evaluations for which there are rows.

    Raises:
        DataError: A file cannot be read, or a row has no question.
        RunDirectoryError: A file in a bucket cannot be read.
    """
    indices = {
        name: Decontaminator((name, question) for question in asked)
        for name, asked in questions.items()
        if training_rows.get(name)
    }
    hits: dict[str, dict[str, set[str]]] = {name: {} for name in indices}
    for path in dict.fromkeys(path for rows in training_rows.values() for path in rows):
        concerned = {name: index for name, index in indices.items() if path in training_rows[name]}
        for text in _distinct(_questions_of(path)):
            for name, index in concerned.items():
                if found := index.check(text):
                    hits[name].setdefault(found.kind.value, set()).add(found.test_question)
    return {
        name: {kind.value: len(found.get(kind.value, ())) for kind in ContaminationKind} for name, found in hits.items()
    }


def _questions_of(path: str) -> Iterator[str]:
    with local_copy(_rows_of(expanded(path))) as file:
        for raw in read_records(file):
            yield from _questions_in(parse_record(raw))


def _rows_of(path: str) -> str:
    """Return the file of rows that is meant: itself, or the one in a run's folder."""
    run = RunDirectory(path)
    if not run.exists("manifest.json"):
        return path
    return next((run.path(*file) for file in _OF_A_RUN if run.exists(*file)), path)


def _questions_in(record: Record) -> list[str]:
    there = [field for field in _QUESTION_FIELDS if record.has(field)]
    if isinstance(record.value("problem"), str):
        there.append("problem")
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
