"""What fine-tuning leaves to be shown."""

import json
from dataclasses import dataclass
from typing import Any

from metamath_ray.storage import RunDirectory

METRICS_FILE = "metrics.jsonl"
"""In a stage's folder: a line a step."""


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What became of a stage.

    Attributes:
        model: Folder of the trained model, on a disk or in a bucket.
        results: Content of the stage's `results.json`: counts of the data, measurements.
    """

    name: str
    model: str
    results: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FinetuneReport:
    """What became of a run.

    Attributes:
        start: Measurements of the model before training; {} where none were asked for.
    """

    start: dict[str, Any]
    stages: list[StageReport]


def latest_figures(folder: RunDirectory) -> dict[str, Any] | None:
    """Return the latest whole line of a stage's `metrics.jsonl`; None where there is none.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    text = folder.read_text(METRICS_FILE) if folder.exists(METRICS_FILE) else ""
    lines = [line for line in text.splitlines() if line.endswith("}")]
    loaded: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    return loaded
