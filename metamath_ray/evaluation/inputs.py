"""The tables that a configuration names, here or in a bucket: a run of `sample`, parquet, another tool's file."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from metamath_ray.config.evaluate import SampleSetConfig, SamplesFormat
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import parse_record
from metamath_ray.errors import DataError
from metamath_ray.evaluation.foreign import read_completions, read_lm_eval
from metamath_ray.evaluation.model_evaluation import SampleSet
from metamath_ray.evaluation.training_rows import training_rows_of
from metamath_ray.storage import Manifest, RunDirectory
from metamath_ray.storage.locations import expanded, is_folder, is_there, local_copy
from metamath_ray.storage.publishing import publishable
from metamath_ray.storage.samples import GREEDY_FILE, SAMPLES_FILE, read_sample_table

_MANIFEST_FILE = "manifest.json"


def open_sample_set(config: SampleSetConfig) -> SampleSet:
    """Open the tables of one model; a run of `sample` brings its greedy samples, its manifest, and its model's rows.

    Raises:
        DataError: A path does not exist, or is of no format that can be told; see the readers.
        RunDirectoryError: The manifest of a run is damaged, or a bucket cannot be read.
        ModelError: What the folder of a run's model says of itself is damaged.
    """
    run = RunDirectory(expanded(config.path))
    known: dict[str, Any] = {}
    greedy = config.greedy
    if run.exists(_MANIFEST_FILE):
        manifest = run.read_manifest()
        known = {"manifest": _shown(manifest), "training_rows": training_rows_of(manifest.configuration)}
        greedy = greedy or (run.path(GREEDY_FILE) if run.exists(GREEDY_FILE) else None)
    return SampleSet(
        samples=read_batches(config.path, config),
        greedy=read_batches(greedy, config) if greedy else None,
        validation=read_batches(config.validation, config) if config.validation else None,
        validation_name=config.validation or "",
        **known,
    )


def _shown(manifest: Manifest) -> dict[str, Any]:
    shown = publishable(asdict(manifest))
    assert isinstance(shown, dict)  # noqa: S101  what a mapping becomes
    return shown


def read_batches(path: str, config: SampleSetConfig, *, num_problems: int | None = None) -> Iterator[pa.RecordBatch]:
    """Stream one of the tables that a configuration names, as batches of `SAMPLE_SCHEMA`.

    Args:
        path: One of the configuration's paths.
        config: Says how it is read.
        num_problems: Of another tool's completions, grade and return those of so many problems, the first ones; all
            without it. Our own tables are graded, and come whole.

    Raises:
        DataError: The path does not exist, or is of no format that can be told; see the readers.
        RunDirectoryError: A bucket cannot be read.
    """
    place = expanded(path)
    run = RunDirectory(place)
    if run.exists(_MANIFEST_FILE):
        place = run.path(SAMPLES_FILE)
        if not run.exists(SAMPLES_FILE):
            raise DataError(f"{path}: a run without {SAMPLES_FILE}; let `sample` finish it first")
    match config.format if config.format != "auto" else _format(place):
        case "lm_eval":
            return read_lm_eval(place, num_problems=num_problems)
        case "jsonl":
            return read_completions(place, fields=config.fields, scores=config.scores, num_problems=num_problems)
    return read_sample_table(place)


def _format(path: str) -> SamplesFormat:
    """Tell a table of samples by its place, lm-eval's log by the fields of its first record."""
    if not is_there(path):
        raise DataError(f"{path}: no such file or folder; expected a table of samples or JSON lines of completions")
    if path.partition("?")[0].endswith(".parquet") or is_folder(path):
        return "samples"
    with local_copy(path) as file:
        first = parse_record(next(read_records(file)))
    return "lm_eval" if first.has("resps") and first.has("doc") else "jsonl"
