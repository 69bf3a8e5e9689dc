"""What decides a step's result, and its hash: settings, the steps it is made from, files, the package's version."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from metamath_ray.config.base import FrozenConfig
from metamath_ray.config.bootstrap import BootstrapConfig
from metamath_ray.config.finetune import FinetuneConfig
from metamath_ray.config.loop import parse_settings
from metamath_ray.config.sample import SampleConfig
from metamath_ray.datasets.files import source_hash
from metamath_ray.errors import ConfigError
from metamath_ray.inference.models import model_hash
from metamath_ray.loop.steps import Place, Step
from metamath_ray.types import content_id

FILE_SETTINGS = frozenset({"path", "rows", "prompt_set", "verifier_prompt", "greedy", "validation", "training_rows"})
"""Settings that may name a file or a folder."""
MODEL_SETTINGS = frozenset({"model", "verifier"})
"""Settings that may name a model's folder."""
RUN_PARTS = ("plan.parquet", "outcomes", "dataset", "samples.parquet", "greedy.parquet", "results.json")
"""What of a foreign run's folder is an input; its logs and records are none."""
PAYING = ("budget", "price_per_million_tokens", "price_per_gpu_hour")
"""Settings of `sample` that decide when it stops, to be resumed, and not what it makes."""
GROWING = ("num_samples", "greedy", "verifier", "verifier_prompt")
"""Settings of `sample` that may change without a new folder, besides `problems.limit` and what is in their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What decides a step's result.

    Attributes:
        content: The command; its settings, less where and how fast it runs, behind each reference the hash of what is
            meant; hashes of the files that they name; the package's version.
    """

    content: dict[str, Any]

    @property
    def hash(self) -> str:
        """Identity of it all. The order of settings counts: that of a fine-tuning's stages decides."""
        return content_id((json.dumps(self.content),))

    def can_grow_from(self, earlier: Mapping[str, Any]) -> bool:
        """Whether a table of samples with this earlier content may stay, and be added to."""
        is_table = self.content["command"] == earlier.get("command") == "sample"
        return is_table and _fixed(self.content) == _fixed(earlier)


def inputs_of(step: Step, hashes: Mapping[str, str], root: Path) -> Inputs:
    """Collect what decides a step's result.

    Args:
        hashes: Label → input hash, of all steps that it refers to.
        root: Folder of the loop.

    Raises:
        ConfigError: It names a file in the loop's folder by its path, so that who makes it is not known.
    """

    def named(place: Place) -> str:
        return f"{place.name}#{content_id(hashes[label] for label in place.made_by)[:12]}"

    settings = {step.form.folder: "", **step.filled(named)}
    content = deciding(parse_settings(step.command, settings))
    files = dict(_file_hashes(content, step.label, root))
    return Inputs(content={"command": step.command, **content, "files": files, "version": version("metamath-ray")})


def deciding(config: FrozenConfig) -> dict[str, Any]:
    """Return the settings that decide a result: those by which the command itself tells two runs apart."""
    match config:
        case BootstrapConfig():
            return {**config.content(), "export": config.export.model_dump(mode="json")}
        case FinetuneConfig():
            measures_start = bool(config.held_out and config.held_out.before_training)
            return {**config.content(), "measures_start": measures_start}
        case SampleConfig():
            where = {"run_directory", "engine", "verifier", "execution", "ray", "retry_failed", *PAYING}
            verifier = config.verifier.model if config.verifier else None
            return {
                **config.model_dump(mode="json", exclude=where),
                "model": config.engine.model,
                "verifier": verifier,
            }
    return config.model_dump(mode="json")


def _file_hashes(settings: Mapping[str, Any], label: str, root: Path) -> Iterator[tuple[str, str]]:
    for name, text in _named_texts(settings):
        last = next(part for part in reversed(name.split(".")) if not part.isdecimal())
        if not text or text.startswith("@") or last not in FILE_SETTINGS | MODEL_SETTINGS:
            continue
        path = Path(text).expanduser()
        if path.absolute().is_relative_to(root):
            raise ConfigError(f'{label}: {name} ({text}) lies in the loop\'s folder; name its step: "@step/path"')
        if found := _model_hash(path) if last in MODEL_SETTINGS else _input_hash(path):
            yield name, found


def _named_texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  (what JSON holds)
    if isinstance(value, str):
        yield name, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _named_texts(item, f"{name}.{key}" if name else str(key))


def _model_hash(path: Path) -> str | None:
    return model_hash(str(path)) if path.is_dir() else None


def _input_hash(path: Path) -> str | None:
    if (path / "manifest.json").is_file():
        return content_id(source_hash(str(path / part)) for part in RUN_PARTS)
    return source_hash(str(path))


def _fixed(content: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in content.items() if name not in GROWING}
    files = {name: value for name, value in content["files"].items() if name not in (*GROWING, "problems.path")}
    return {**kept, "problems": {**content["problems"], "limit": None}, "files": files}
