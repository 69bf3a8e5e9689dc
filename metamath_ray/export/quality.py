"""How good a bootstrapped data set is, from its run's files: what was accepted, how new and how long the rows are."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from metamath_ray.augmentation.numbers import find_mentions
from metamath_ray.errors import DataError, RunDirectoryError
from metamath_ray.export.diversity import Embedding, distances, hashed_ngrams
from metamath_ray.export.metamathqa import AUGMENTATION_TAGS
from metamath_ray.export.writer import REJECTED_FILE
from metamath_ray.report.data_quality import AugmentationQuality, DataQuality, Histogram
from metamath_ray.statistics import rate
from metamath_ray.storage import KindSummary, RunDirectory, summarize
from metamath_ray.storage.dataset_files import DATASET_FOLDER, TABLE_FILE
from metamath_ray.types import Augmentation, RejectionReason

_COLUMNS = ["query", "response", "original_question", "augmentation"]
_ROWS_AT_A_TIME = 4096
_MOST_BINS = 20
_CALCULATION_MARK = re.compile(r"<<[^<>]*>>")
_EQUATION = re.compile(r"(?<![<>=!:])=(?!=)")


def measure_quality(
    run: RunDirectory, embed: Embedding = hashed_ngrams, *, embedding: str = "hashed n-grams, 512 dimensions"
) -> DataQuality:
    """Measure the exported data set of a bootstrap run.

    Diversity gain is that of the rows' questions over the seed questions of the data set.

    Args:
        run: A bootstrap run on this machine that was exported.
        embed: What turns questions into vectors.
        embedding: Its name, for the report.

    Raises:
        RunDirectoryError: The run is in a bucket, or has no data set.
        DataError: A file of the data set is damaged.
    """
    folder = _dataset_folder(run)
    rows = _Rows()
    for columns in _batches(folder / TABLE_FILE):
        rows.add(columns)
    gains = _gains(rows, embed)
    duplicates = _duplicates(folder / REJECTED_FILE)
    planned = {kind: counts for kind, counts in summarize(run).by_augmentation.items() if counts.num_planned}
    return DataQuality(
        num_rows=rows.num,
        num_seeds=len({seed for _, seed, _ in rows.questions}),
        by_augmentation=tuple(_augmentation(kind, planned[kind], rows, gains, duplicates[kind]) for kind in planned),
        diversity_gain=_mean(gains, rows.questions),
        embedding=embedding,
        histograms=(
            histogram("equations of a solution", rows.equations),
            histogram("words of a solution", rows.words),
            histogram("characters of a solution", rows.characters),
        ),
    )


_Question = tuple[Augmentation, str, str]
"""How it was made, the seed question, the new question."""


@dataclass(slots=True)
class _Rows:
    """What the rows come to; a question that repeats is kept once, with its number."""

    questions: Counter[_Question] = field(default_factory=Counter)
    equations: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)

    @property
    def num(self) -> int:
        return len(self.characters)

    def add(self, columns: Mapping[str, Sequence[str]]) -> None:
        kinds = map(Augmentation, columns["augmentation"])
        self.questions.update(zip(kinds, columns["original_question"], columns["query"], strict=True))
        for response in columns["response"]:
            self.equations.append(num_equations(response))
            self.words.append(len(response.split()))
            self.characters.append(len(response))


def _dataset_folder(run: RunDirectory) -> Path:
    if run.local_path is None:
        raise RunDirectoryError(f"{run.root}: the data set is measured on a disk; copy the run to this machine first")
    folder = run.local_path / DATASET_FOLDER
    if not (folder / TABLE_FILE).is_file():
        raise RunDirectoryError(f"{folder}: no data set; make it with `metamath-ray export --run-directory {run.root}`")
    return folder


def _batches(table: Path) -> Iterator[Mapping[str, Sequence[str]]]:
    try:
        for batch in pq.ParquetFile(table).iter_batches(_ROWS_AT_A_TIME, columns=_COLUMNS):
            columns: Mapping[str, Sequence[str]] = batch.to_pydict()
            yield columns
    except (OSError, ValueError) as error:
        raise DataError(f"{table}: cannot be read as a data set ({error}); export the run again") from error


def _duplicates(rejected: Path) -> Counter[Augmentation]:
    """Count the accepted items that repeat an earlier row, out of `rejected.jsonl`."""
    by_tag = {tag: augmentation for augmentation, tag in AUGMENTATION_TAGS.items()}
    found: Counter[Augmentation] = Counter()
    try:
        with rejected.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["reason"] == RejectionReason.DUPLICATE:
                    found[by_tag[row["type"].rpartition("_")[2]]] += 1
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{rejected}: cannot be read ({error!r}); export the run again") from error
    return found


def _gains(rows: _Rows, embed: Embedding) -> dict[str, float]:
    """Return the distance of each question from the nearest seed question."""
    seeds = list(dict.fromkeys(seed for _, seed, _ in rows.questions))
    queries = list(dict.fromkeys(query for _, _, query in rows.questions))
    return dict(zip(queries, distances(queries, seeds, embed).tolist(), strict=True)) if seeds else {}


def _mean(gains: Mapping[str, float], questions: Mapping[_Question, int]) -> float | None:
    """Average over rows; None without any."""
    num = sum(questions.values())
    return math.fsum(gains[query] * count for (_, _, query), count in questions.items()) / num if num else None


def _augmentation(
    kind: Augmentation, counts: KindSummary, rows: _Rows, gains: Mapping[str, float], num_duplicates: int
) -> AugmentationQuality:
    questions = {question: count for question, count in rows.questions.items() if question[0] is kind}
    finished, accepted = counts.num_finished, counts.num_accepted
    return AugmentationQuality(
        augmentation=kind,
        num_planned=counts.num_planned,
        acceptance=rate([True] * accepted + [False] * (finished - accepted)) if finished else None,
        num_rows=sum(questions.values()),
        num_duplicates=num_duplicates,
        new_numbers=_new_numbers(questions),
        diversity_gain=_mean(gains, questions),
    )


def _new_numbers(questions: Mapping[_Question, int]) -> float | None:
    shares = [(share_of_new_numbers(query, seed), count) for (_, seed, query), count in questions.items()]
    known = [(share, count) for share, count in shares if share is not None]
    return math.fsum(share * count for share, count in known) / sum(count for _, count in known) if known else None


def share_of_new_numbers(question: str, seed: str) -> float | None:
    """Return how many of a question's different numbers its seed does not state, as a share; None without numbers.

    Numbers are compared by value: "a dozen", "12" and "12.0" are the same one.
    """
    values = {mention.value for mention in find_mentions(question)}
    return len(values - _values(seed)) / len(values) if values else None


@lru_cache(maxsize=4096)
def _values(text: str) -> frozenset[object]:
    return frozenset(mention.value for mention in find_mentions(text))


def num_equations(solution: str) -> int:
    """Count the equations that a solution writes, which stand for its steps; GSM8K's marks `<<2*3=6>>` do not count."""
    return len(_EQUATION.findall(_CALCULATION_MARK.sub("", solution)))


def histogram(quantity: str, values: Sequence[int]) -> Histogram:
    """Sort values that are not negative into at most 20 bins of one width, which is 1, 2 or 5 times a power of ten."""
    top = max(values, default=0)
    width = next(width for width in _round_widths() if top // width < _MOST_BINS)
    places: npt.NDArray[np.int64] = np.asarray(values, dtype=np.int64) // width
    counts = np.bincount(places, minlength=1)
    return Histogram(
        quantity=quantity,
        edges=tuple(width * place for place in range(len(counts) + 1)),
        counts=tuple(counts.tolist()),
    )


def _round_widths() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
