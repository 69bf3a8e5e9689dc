"""What fine-tuning leaves to be shown."""

from dataclasses import dataclass
from typing import Any


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
