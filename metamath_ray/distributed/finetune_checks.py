"""What fine-tuning looks at before anything is started: model, prompts, data, packages, the run's folder."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from metamath_ray.capacity import check_training, load_gpus
from metamath_ray.config import FinetuneConfig, SamplesConfig, SourceConfig, StageConfig
from metamath_ray.datasets.files import source_hash
from metamath_ray.datasets.reading import read_configured
from metamath_ray.distributed.bootstrap import required_cpus
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.distributed.preflight import check_room, shape_of
from metamath_ray.distributed.stage_files import check_layout
from metamath_ray.errors import ConfigError, DataError, RunDirectoryError
from metamath_ray.inference.models import check_prompt_set, model_hash, resolve_model, verifier_prompt_for
from metamath_ray.prompts import (
    PromptSet,
    Renderer,
    Task,
    Tokenizer,
    VerifierPrompt,
    VerifierRenderer,
    load_prompt_set,
    load_tokenizer,
)
from metamath_ray.storage import Manifest, RunDirectory
from metamath_ray.storage.locations import content_hash, is_there
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.models import check_vocabulary
from metamath_ray.training.progress import require_tracker
from metamath_ray.training.quality import read_held_out
from metamath_ray.training.stage_data import rows_file
from metamath_ray.types import Problem

SPARE_CPUS = 1
"""Logical CPUs beside the trainers: tokenising before, measuring after."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A configuration whose parts were found.

    Attributes:
        label_tokens: First tokens of the verifier's labels; None where no stage trains one.
        held_out: Problems that the generator is measured on.
    """

    config: FinetuneConfig
    model_path: str
    prompt_set: PromptSet
    verifier_prompt: VerifierPrompt
    label_tokens: LabelTokens | None
    held_out: list[Problem]


def check(config: FinetuneConfig, *, observer: Observer | None = None) -> Checked:
    """Find and try everything that a run needs.

    Args:
        config: What is to run.
        observer: Told what could not be checked.

    Raises:
        UserError: Something is missing, or does not fit the rest.
    """
    prompt_set, model_path = load_prompt_set(config.prompt_set), resolve_model(config.model)
    verifier_prompt = verifier_prompt_for(model_path, config.verifier_prompt)
    check_prompt_set(model_path, name=prompt_set.name, prompt_set_hash=prompt_set.hash)
    _check_packages(config)
    watching = observer or Silent()
    _check_fits(config, model_path, watching)
    tokenizer = load_tokenizer(model_path)
    check_vocabulary(model_path)
    example = {"question": "What is 1 + 1?"}
    Renderer(prompt_set, tokenizer).render_with_response(Task.SOLVE, example, "2", source="")
    for name, stage in config.stages.items():
        _check_data(name, stage)
    _check_draws(config)
    held_out = read_held_out(config.held_out) if config.held_out else None
    if held_out and held_out.invalid:
        watching.notice(skipped_line("held_out", held_out.invalid))
    return Checked(
        config=config,
        model_path=model_path,
        prompt_set=prompt_set,
        verifier_prompt=verifier_prompt,
        label_tokens=_label_tokens(config, verifier_prompt, tokenizer),
        held_out=held_out.problems if held_out else [],
    )


def skipped_line(name: str, invalid: Sequence[str]) -> str:
    """Say what was not read of some problems, where malformed records are skipped."""
    return f"{name}: {len(invalid):,} malformed records are skipped; the first one: {invalid[0]}"


def _check_fits(config: FinetuneConfig, model_path: str, observer: Observer) -> None:
    """See that the model is whole, and that trainers and the engines of its draws can hold it."""
    shape = shape_of(model_path)
    if said := check_training(config, shape, load_gpus()):
        observer.notice(said)
    for name, stage in config.stages.items():
        if stage.samples and stage.samples.draw:
            engine = stage.samples.draw.engine.model_copy(update={"model": config.model})
            check_room(engine, shape, observer=observer, name=f"stages.{name}.samples.draw.engine")


def _check_packages(config: FinetuneConfig) -> None:
    for tracker in config.trackers:
        require_tracker(tracker)
    if config.adapter and config.adapter.quantize and not find_spec("bitsandbytes"):
        raise ConfigError("adapter.quantize needs the package bitsandbytes: `uv pip install bitsandbytes`")


def _label_tokens(config: FinetuneConfig, prompt: VerifierPrompt, tokenizer: Tokenizer) -> LabelTokens | None:
    if not any(stage.samples for stage in config.stages.values()):
        return None
    return LabelTokens(*VerifierRenderer(prompt, tokenizer).label_token_ids)


def _check_data(name: str, stage: StageConfig) -> None:
    rows = stage.solutions.rows if stage.solutions else None
    samples = stage.samples.path if stage.samples else None
    for path in (*([rows] if rows else ()), *(samples or ())):
        if not is_there(path):
            raise DataError(f"stages.{name}: {path}: no such file or folder")
    if stage.solutions and stage.solutions.problems:
        _read_first(stage.solutions.problems)
    if stage.samples and stage.samples.draw:
        _read_first(stage.samples.draw.problems)


def _check_draws(config: FinetuneConfig) -> None:
    """See that vLLM will find the models that samples are drawn from: on a disk of its node."""
    later = list(config.stages.items())[1:]
    drawing = [name for name, stage in later if stage.samples and stage.samples.draw]
    if drawing and RunDirectory(config.run_directory).local_path is None:
        raise ConfigError(
            f"run_directory {config.run_directory}: stages.{drawing[0]}.samples.draw asks the model of the stage "
            "before, which vLLM cannot load out of a bucket; give a path on a disk that all nodes see"
        )


def _read_first(source: SourceConfig) -> None:
    next(iter(read_configured(source)))


def required(config: FinetuneConfig) -> tuple[int, int]:
    """Return the logical CPUs and the GPUs that a run needs at once."""
    trainers = config.trainers
    cpus = [math.ceil(trainers.num_workers * trainers.cpus_per_worker) + SPARE_CPUS]
    gpus = [trainers.num_workers if trainers.accelerator_type else 0]
    for stage in config.stages.values():
        if stage.samples and stage.samples.draw:
            cpus.append(required_cpus(stage.samples.draw.engine, stage.samples.draw.execution))
            gpus.append(stage.samples.draw.engine.num_gpus)
    return max(cpus), max(gpus)


def tracker_environment(config: FinetuneConfig) -> dict[str, str]:
    """Return the variables, keys among them, that the trackers read; a worker's environment is its node's."""
    prefixes = tuple(f"{tracker.upper()}_" for tracker in config.trackers)
    return {name: value for name, value in os.environ.items() if prefixes and name.startswith(prefixes)}


def open_run(run: RunDirectory, checked: Checked) -> Manifest:
    """Make a run's manifest, or take up the one that is there.

    Raises:
        RunDirectoryError: The folder belongs to another configuration, or to other data.
        ConfigError: Its checkpoints do not fit the trainers.
    """
    content, configuration = _content(checked), checked.config.model_dump(mode="json")
    manifest = run.read_manifest() if run.exists("manifest.json") else Manifest(content=content, configuration={})
    if differences := manifest.differences(content):
        raise RunDirectoryError(
            f"{run.root} belongs to another configuration ({'; '.join(differences[:5])}); choose another run_directory"
        )
    for name in checked.config.stages.keys() - manifest.stages.keys():
        check_layout(RunDirectory(run.path(name)), checked.config.trainers)
    manifest.configuration = configuration
    run.write_manifest(manifest)
    return manifest


def _content(checked: Checked) -> dict[str, Any]:
    """Return what decides the weights and the figures of the whole run."""
    config = checked.config
    return {
        **config.content(),
        "order": list(config.stages),
        "model_hash": model_hash(checked.model_path),
        "prompt_set_hash": checked.prompt_set.hash,
        "verifier_prompt_hash": checked.verifier_prompt.hash,
        "data_hashes": {name: _data_hashes(stage) for name, stage in config.stages.items()},
        "held_out_hash": source_hash(config.held_out.problems.path) if config.held_out else None,
    }


def _data_hashes(stage: StageConfig) -> list[Any]:
    """Hash what a stage learns from: rows or problems, and samples or the problems that they are drawn of."""
    solutions, samples = stage.solutions, stage.samples
    problems = [solutions and solutions.problems, samples and samples.draw and samples.draw.problems]
    return [
        content_hash(rows_file(solutions.rows)) if solutions and solutions.rows else None,
        _samples_hash(samples) if samples else None,
        *(source_hash(source.path) if source else None for source in problems),
    ]


def _samples_hash(samples: SamplesConfig) -> list[str | None]:
    """Hash what is read: of a bootstrap's run directory, its plan and its outcomes."""
    hashes = []
    for run in map(RunDirectory, samples.path or ()):
        parts = [["plan.parquet"], ["outcomes"]] if run.exists("manifest.json") else [[]]
        hashes += [content_hash(run.path(*part)) for part in parts]
    return hashes
