"""The folder of a data set: rows as JSON lines and parquet, what was rejected and why, the data card."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow
import pyarrow.parquet

from metamath_ray.errors import RunDirectoryError
from metamath_ray.export.data_card import data_card
from metamath_ray.export.metamathqa import row_type
from metamath_ray.export.selection import Rejected, Selected
from metamath_ray.export.summary import ExportSummary
from metamath_ray.storage.dataset_files import ROWS_FILE, TABLE_FILE

REJECTED_FILE = "rejected.jsonl"
CARD_FILE = "README.md"
FILES = (ROWS_FILE, TABLE_FILE, REJECTED_FILE, CARD_FILE)
"""In the order in which they appear."""

TABLE_SCHEMA = pyarrow.schema(
    [
        ("query", pyarrow.string()),
        ("response", pyarrow.string()),
        ("type", pyarrow.string()),
        ("original_question", pyarrow.string()),
        ("item_id", pyarrow.string()),
        ("problem_id", pyarrow.string()),
        ("source", pyarrow.string()),
        ("source_id", pyarrow.string()),
        ("split", pyarrow.string()),
        ("augmentation", pyarrow.string()),
        ("repeat", pyarrow.int32()),
        ("answer", pyarrow.string()),
        ("model", pyarrow.string()),
        ("rewrite_seed", pyarrow.int64()),
        ("solution_seed", pyarrow.int64()),
        ("num_rewrite_tokens", pyarrow.int32()),
        ("num_solution_tokens", pyarrow.int32()),
    ]
)
"""The four wire fields and where each row comes from; the JSON lines have the wire fields alone."""

_BATCH = 4096


def write_export(
    selection: Iterable[Selected | Rejected],
    directory: Path,
    manifest: Mapping[str, object],
    *,
    malformed_tests: Sequence[str] = (),
) -> ExportSummary:
    """Write the data set folder, a batch at a time; its files appear together at the end, or not at all.

    Args:
        selection: What `select_rows` yields.
        directory: Created when missing; files of an earlier export are replaced, others are left alone.
        manifest: How the rows came to be (configuration, model, prompt set hash, seeds, versions); goes into the card
            without secrets and machine paths.
        malformed_tests: Messages of the test questions that could not be read, and so not compared with.

    Raises:
        RunDirectoryError: The folder cannot be written, or the disk is full; an earlier export stays as it was.
    """
    summary = ExportSummary(malformed_tests=list(malformed_tests))
    with _replaced_together(directory) as staging:
        with _DatasetFiles(staging) as files:
            decisions = iter(selection)
            while batch := list(islice(decisions, _BATCH)):
                files.write(batch)
                for decision in batch:
                    summary.add(decision)
        (staging / CARD_FILE).write_text(data_card(summary, manifest), encoding="utf-8")
    return summary


@contextmanager
def _replaced_together(directory: Path) -> Iterator[Path]:
    """Yield a folder inside the target; when the block succeeds, move its files up, the card last."""
    staging: Path | None = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".export-", dir=directory))
        yield staging
        for name in FILES:
            _synchronize(staging / name)
            (staging / name).replace(directory / name)
    except OSError as error:
        raise RunDirectoryError(f"{directory}: cannot be written: {error.strerror or error}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _synchronize(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


class _DatasetFiles:
    """The three data files, open for writing."""

    def __init__(self, directory: Path) -> None:
        self._rows = (directory / ROWS_FILE).open("w", encoding="utf-8")
        self._rejected = (directory / REJECTED_FILE).open("w", encoding="utf-8")
        self._table = pyarrow.parquet.ParquetWriter(directory / TABLE_FILE, TABLE_SCHEMA, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._table.close()
        self._rejected.close()
        self._rows.close()

    def write(self, batch: Iterable[Selected | Rejected]) -> None:
        """Append a batch of decisions."""
        table_rows = []
        for decision in batch:
            if isinstance(decision, Selected):
                _write_line(self._rows, decision.row.as_dict())
                table_rows.append(_table_row(decision))
            else:
                _write_line(self._rejected, _rejected_row(decision))
        if table_rows:
            self._table.write_table(pyarrow.Table.from_pylist(table_rows, schema=TABLE_SCHEMA))


def _write_line(file: IO[str], row: Mapping[str, object]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _table_row(selected: Selected) -> dict[str, object]:
    outcome = selected.outcome
    item, rewrite, solution = outcome.item, outcome.rewrite, outcome.solution
    return {
        **selected.row.as_dict(),
        "item_id": item.item_id,
        "problem_id": item.problem.problem_id,
        "source": item.problem.source,
        "source_id": item.problem.source_id,
        "split": item.problem.split,
        "augmentation": str(item.augmentation),
        "repeat": item.repeat,
        "answer": outcome.expected_answer,
        "model": solution.model if solution else None,
        "rewrite_seed": rewrite.seed if rewrite else None,
        "solution_seed": solution.seed if solution else None,
        "num_rewrite_tokens": rewrite.num_completion_tokens if rewrite else None,
        "num_solution_tokens": solution.num_completion_tokens if solution else None,
    }


def _rejected_row(rejected: Rejected) -> dict[str, object]:
    outcome = rejected.outcome
    problem = outcome.item.problem
    return {
        "item_id": outcome.item.item_id,
        "problem_id": problem.problem_id,
        "source_id": problem.source_id,
        "type": row_type(problem.source, outcome.item.augmentation),
        "status": str(outcome.status),
        "reason": rejected.reason,
        "detail": rejected.detail,
        "query": outcome.query,
        "response": outcome.solution.text if outcome.solution else None,
        "expected_answer": outcome.expected_answer,
        "extracted_answer": outcome.extracted_answer,
    }
