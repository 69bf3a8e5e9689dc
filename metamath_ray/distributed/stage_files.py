"""The small files of a stage's folder: how its checkpoints are laid out, and why it failed for good."""

import json
from typing import Any

from metamath_ray import errors
from metamath_ray.config import TrainersConfig
from metamath_ray.errors import ConfigError, MetamathRayError
from metamath_ray.inference.models import METADATA_FILE
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.locations import is_folder

CHECKPOINTS, MODEL = "checkpoints", "model"
_LAYOUT, _FAILURE = "layout.json", "failure.json"


def write_json(content: Any, folder: RunDirectory, *parts: str) -> None:  # noqa: ANN401  (what JSON takes)
    """Write a small file whole or not at all."""
    folder.write_bytes(f"{json.dumps(content, indent=2)}\n".encode(), *parts)


def read_json(folder: RunDirectory, *parts: str) -> dict[str, Any] | None:
    """Read such a file; None where there is none."""
    if not folder.exists(*parts):
        return None
    content: dict[str, Any] = json.loads(folder.read_text(*parts))
    return content


def has_model(folder: RunDirectory) -> bool:
    """Whether the stage's model is there, whole: its description comes last."""
    return folder.exists(MODEL, METADATA_FILE)


def check_layout(folder: RunDirectory, trainers: TrainersConfig) -> None:
    """Look whether the checkpoints of an interrupted stage can be loaded as training is set up now.

    Raises:
        ConfigError: They were written by another ZeRO stage, or in another precision.
    """
    written = read_json(folder, _LAYOUT)
    checkpoints = folder.path(CHECKPOINTS)
    if written in (None, _layout(trainers)) or not is_folder(checkpoints):
        return
    said = " and ".join(f"{name} {value}" for name, value in written.items())
    raise ConfigError(f"{folder.root}: its checkpoints are of {said}; finish with that, or delete {checkpoints}")


def write_layout(folder: RunDirectory, trainers: TrainersConfig) -> None:
    """Say how the checkpoints to come are laid out."""
    write_json(_layout(trainers), folder, _LAYOUT)


def _layout(trainers: TrainersConfig) -> dict[str, Any]:
    return {
        "trainers.zero_stage": trainers.zero_stage,
        "precision": "bfloat16" if trainers.accelerator_type else "float32",
    }


def keep_failure(folder: RunDirectory, error: MetamathRayError) -> None:
    """Say why a stage failed, where trying again would not help."""
    write_json({"kind": type(error).__name__, "message": str(error)}, folder, _FAILURE)


def kept_failure(folder: RunDirectory) -> MetamathRayError | None:
    """Return why a stage failed for good; None where it did not."""
    found = read_json(folder, _FAILURE)
    if found is None:
        return None
    kind: type[MetamathRayError] = getattr(errors, found["kind"])
    return kind(found["message"])


def forget_failure(folder: RunDirectory) -> None:
    """Begin anew."""
    folder.remove(_FAILURE)
