"""What a sampled model was trained on: the rows that our own checkpoints name, and those of the models before them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metamath_ray.evaluation.results import TrainingRows
from metamath_ray.inference.models import read_metadata
from metamath_ray.storage.locations import expanded, is_there

_NAMED_IN = (
    ("solutions", "rows"),
    ("solutions", "problems", "path"),
    ("samples", "path"),
    ("samples", "draw", "problems", "path"),
)
"""Where the settings of a stage name what it learns from."""


def training_rows_of(configuration: Mapping[str, Any]) -> TrainingRows:
    """Find what the model of a run of `sample` was trained on.

    Args:
        configuration: Of the run's manifest.

    Raises:
        ModelError: What a model's folder says of itself is damaged.
    """
    models = _texts(configuration, ("engine", "model"))
    named = (one for model in models for one in _named_by(model))
    found = {path: is_plain and is_there(expanded(path)) for path, is_plain in named}
    return TrainingRows(
        looked_through=tuple(path for path in found if found[path]),
        left_out=tuple(path for path in found if not found[path]),
    )


def _named_by(model: str) -> Iterator[tuple[str, bool]]:
    """Yield what a model names, and what the models name that it was trained from, back to one that is not ours.

    Beside each path stands whether its questions are in a column of a usual name.
    """
    folder, seen = Path(model).expanduser().absolute(), set[Path]()
    while folder not in seen and (metadata := read_metadata(str(folder))):
        seen.add(folder)
        training = metadata.get("training")
        for keys in _NAMED_IN:
            for path in _texts(training, keys):
                yield path, not _texts(training, (*keys[:-1], "fields", "question"))
        folder = _parent(folder, str(metadata.get("parent")))


def _parent(folder: Path, parent: str) -> Path:
    """Return the folder of the model that was trained: of the stage before, `RUN/STAGE/model`, or any other."""
    before = folder.parent.parent / parent / "model"
    return before if before.is_dir() else Path(parent).expanduser().absolute()


def _texts(settings: object, keys: tuple[str, ...]) -> list[str]:
    """Return the text that stands at nested keys, or the texts of a list."""
    for key in keys:
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    found = settings if isinstance(settings, list) else [settings]
    return [text for text in found if isinstance(text, str) and text]
