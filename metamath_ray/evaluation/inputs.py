"""The tables that a configuration names: a run of `sample`, parquet, or what another tool wrote."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from metamath_ray.config.evaluate import SampleSetConfig, SamplesFormat
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import parse_record
from metamath_ray.errors import DataError
from metamath_ray.evaluation.foreign import read_completions, read_lm_eval
from metamath_ray.evaluation.model_evaluation import SampleSet
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.publishing import publishable
from metamath_ray.storage.samples import GREEDY_FILE, SAMPLES_FILE, read_sample_table

_MANIFEST_FILE = "manifest.json"


def open_sample_set(config: SampleSetConfig) -> SampleSet:
    """Open the tables of one model; a run of `sample` brings its greedy samples and its manifest.

    Raises:
        DataError: A path does not exist, or is of no format that can be told; see the readers.
        RunDirectoryError: The manifest of a run is damaged.
    """
    folder = Path(config.path).expanduser()
    is_run = (folder / _MANIFEST_FILE).is_file()
    greedy = config.greedy
    if greedy is None and is_run and (folder / GREEDY_FILE).is_file():
        greedy = str(folder / GREEDY_FILE)
    return SampleSet(
        samples=read_batches(config.path, config),
        greedy=read_batches(greedy, config) if greedy else None,
        validation=read_batches(config.validation, config) if config.validation else None,
        validation_name=config.validation or "",
        manifest=_manifest(RunDirectory(str(folder))) if is_run else {},
    )


def _manifest(run: RunDirectory) -> dict[str, Any]:
    shown = publishable(asdict(run.read_manifest()))
    assert isinstance(shown, dict)  # noqa: S101  what a mapping becomes
    return shown


def read_batches(path: str, config: SampleSetConfig) -> Iterator[pa.RecordBatch]:
    """Stream one of the tables that a configuration names, as batches of `SAMPLE_SCHEMA`.

    Raises:
        DataError: The path does not exist, or is of no format that can be told; see the readers.
    """
    place = Path(path).expanduser()
    if (place / _MANIFEST_FILE).is_file():
        place = place / SAMPLES_FILE
        if not place.is_file():
            raise DataError(f"{path}: a run without {SAMPLES_FILE}; let `sample` finish it first")
    match config.format if config.format != "auto" else _format(place):
        case "lm_eval":
            return read_lm_eval(str(place))
        case "jsonl":
            return read_completions(str(place), fields=config.fields, scores=config.scores)
    return read_sample_table(str(place))


def _format(path: Path) -> SamplesFormat:
    """Tell a table of samples by its place, lm-eval's log by the fields of its first record."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; expected a table of samples or JSON lines of completions")
    if path.is_dir() or path.suffix == ".parquet":
        return "samples"
    first = parse_record(next(read_records(path)))
    return "lm_eval" if first.has("resps") and first.has("doc") else "jsonl"
