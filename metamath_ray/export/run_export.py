"""A run's outcomes → its data set."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from metamath_ray.config import ExportConfig
from metamath_ray.datasets import ContaminationKind, Decontaminator
from metamath_ray.datasets.reading import read_configured
from metamath_ray.export.metamathqa import MetaMathQARow
from metamath_ray.export.selection import Rejected, Selected, select_rows, solved_problem_ids
from metamath_ray.export.summary import ExportSummary
from metamath_ray.export.writer import FILES, write_export
from metamath_ray.storage import PlanIndex, RunDirectory, outcome_from_row, outcomes_in_plan_order
from metamath_ray.storage.dataset_files import DATASET_FOLDER, DATASET_TABLE
from metamath_ray.storage.manifest import now
from metamath_ray.types import Outcome


def export_run(run: RunDirectory, config: ExportConfig) -> ExportSummary:
    """Write `dataset/` of a run out of the outcomes that it has, finished or not.

    Raises:
        RunDirectoryError: It is no run, or cannot be written.
        DataError: A test set to decontaminate against is malformed.
    """
    manifest, malformed = run.read_manifest(), list[str]()
    index = PlanIndex(run)
    selection = select_rows(
        _outcomes(run, index),
        max_rows_per_problem=config.max_rows_per_problem,
        solved_problem_ids=solved_problem_ids(_outcomes(run, index)) if config.backward_check else None,
        decontaminator=_decontaminator(config, malformed),
    )
    told = {
        "configuration": {**manifest.configuration, "export": config.model_dump(mode="json")},
        "content_hash": manifest.content_hash,
        "prompt_set_hash": manifest.content.get("prompt_set_hash"),
        "model_hash": manifest.content.get("model_hash"),
        "versions": manifest.versions,
        "hardware": manifest.hardware,
        "created": manifest.created,
    }
    summary = _write(selection, run, told, malformed)
    manifest = run.read_manifest()  # a bootstrap may have ended meanwhile
    manifest.stages["export"] = {
        "ended": now(),
        "num_rows": summary.num_exported,
        "num_rejected": summary.num_rejected,
        "num_problems": summary.num_problems,
    }
    run.write_manifest(manifest)
    return summary


def _write(
    selection: Iterable[Selected | Rejected], run: RunDirectory, told: Mapping[str, object], malformed: Sequence[str]
) -> ExportSummary:
    """Write the folder; for a bucket on this machine first, because a name in a bucket cannot be taken back."""
    if run.local_path:
        return write_export(selection, run.local_path / DATASET_FOLDER, told, malformed_tests=malformed)
    with tempfile.TemporaryDirectory(prefix="metamath-ray-") as scratch:
        summary = write_export(selection, Path(scratch), told, malformed_tests=malformed)
        run.write_files([Path(scratch, name) for name in FILES], DATASET_FOLDER)
    return summary


def first_rows(run: RunDirectory, num_rows: int) -> list[MetaMathQARow]:
    """Read the first rows of a run's data set.

    Raises:
        RunDirectoryError: There is none.
    """
    names = ["query", "response", "type", "original_question"]
    batches = run.read_batches(*DATASET_TABLE, columns=names)
    return [MetaMathQARow(**row) for row in islice((row for batch in batches for row in batch.to_pylist()), num_rows)]


def _outcomes(run: RunDirectory, index: PlanIndex) -> Iterator[Outcome]:
    return map(outcome_from_row, outcomes_in_plan_order(run, index))


def _decontaminator(config: ExportConfig, malformed: list[str]) -> Decontaminator | None:
    if not config.decontaminate_against:
        return None
    removed = frozenset(map(ContaminationKind, config.removed_overlaps))
    return Decontaminator(_test_questions(config, malformed), removed_kinds=removed)


def _test_questions(config: ExportConfig, malformed: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name of the test set and question; of records that are skipped, append the messages."""
    for source in config.decontaminate_against:
        reading = read_configured(source)
        for problem in reading:
            yield f"{source.name or problem.source}/{problem.split}", problem.question
        malformed += reading.invalid
