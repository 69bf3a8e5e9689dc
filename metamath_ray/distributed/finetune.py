"""Base model → stage → stage → …: the graph of fine-tuning.

lock the folder ─▶ check everything ─▶ Ray up ─▶ for each stage: examples ─▶ units ─▶ TorchTrainer ─▶ model ─▶ measure

A stage that is done is skipped, one that was interrupted goes on from its last checkpoint.
"""

import json
import math
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ray
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from metamath_ray.config import FinetuneConfig, StageConfig
from metamath_ray.distributed.bootstrap import required_cpus
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.draw_samples import draw_samples
from metamath_ray.distributed.observer import Silent, TrainingObserver
from metamath_ray.distributed.preflight import source_hash
from metamath_ray.distributed.stage_units import UnitSettings, write_examples, write_units
from metamath_ray.distributed.train_worker import StageJob, train_worker
from metamath_ray.errors import ConfigError, DataError, ModelError, RunDirectoryError, RunFailed
from metamath_ray.inference.models import METADATA_FILE, check_prompt_set, model_hash, resolve_model
from metamath_ray.prompts import (
    PromptSet,
    VerifierPrompt,
    VerifierRenderer,
    load_prompt_set,
    load_tokenizer,
    load_verifier_prompt,
)
from metamath_ray.storage import Manifest, RunDirectory
from metamath_ray.storage.manifest import now
from metamath_ray.training.examples import LeftOut
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.plot import plot_losses
from metamath_ray.training.progress import METRICS_FILE, require_tracker
from metamath_ray.training.quality import measure_generator, measure_verifier, score_samples
from metamath_ray.training.report import FinetuneReport, StageReport
from metamath_ray.training.stage_data import SampleSet, solution_examples

SPARE_CPUS = 1
"""Logical CPUs beside the trainers: tokenising before, measuring after."""

POLL_SECONDS = 2.0
NUM_GOLDEN_SCORES = 16
"""Held-out solutions whose scores are stored with a verifier, so that a server can be compared with the trainer."""


def finetune(config: FinetuneConfig, observer: TrainingObserver | None = None) -> FinetuneReport:
    """Run all stages, or those that are left.

    Raises:
        UserError: Something is missing or does not fit; nothing was started.
        RunFailed: Training failed and was not to be saved; the last checkpoint stays.
    """
    run = RunDirectory(config.run_directory)
    root = run.local_path
    if root is None:
        raise ConfigError(f"run_directory {config.run_directory!r}: fine-tuning needs a folder that all nodes see")
    checked = _check(config)
    num_cpus, num_gpus = _required(config)
    with run.lock():
        manifest = _open_run(run, checked)
        with connected(config.ray, num_cpus=num_cpus, num_gpus=num_gpus, logs=root / "logs"):
            stages = list(_run_stages(run, manifest, checked, observer or Silent()))
            return FinetuneReport(start=manifest.stages.get("start", {}), stages=stages)


def _required(config: FinetuneConfig) -> tuple[int, int]:
    """Return the logical CPUs and the GPUs that the run needs at once."""
    trainers = config.trainers
    cpus = [math.ceil(trainers.num_workers * trainers.cpus_per_worker) + SPARE_CPUS]
    gpus = [trainers.num_workers if trainers.accelerator_type else 0]
    for stage in config.stages.values():
        if stage.samples and stage.samples.draw:
            cpus.append(required_cpus(stage.samples.draw.engine, stage.samples.draw.execution))
            gpus.append(stage.samples.draw.engine.num_gpus)
    return max(cpus), max(gpus)


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A configuration whose parts were found."""

    config: FinetuneConfig
    model_path: str
    prompt_set: PromptSet
    verifier_prompt: VerifierPrompt
    label_tokens: LabelTokens | None


def _check(config: FinetuneConfig) -> _Checked:
    prompt_set, verifier_prompt = load_prompt_set(config.prompt_set), load_verifier_prompt(config.verifier_prompt)
    model_path = resolve_model(config.model)
    check_prompt_set(model_path, name=prompt_set.name, prompt_set_hash=prompt_set.hash)
    for tracker in config.trackers:
        require_tracker(tracker)
    if config.adapter and config.adapter.quantize and not find_spec("bitsandbytes"):
        raise ConfigError("adapter.quantize needs the package bitsandbytes: `uv pip install bitsandbytes`")
    label_tokens = None
    if any(stage.samples for stage in config.stages.values()):
        renderer = VerifierRenderer(verifier_prompt, load_tokenizer(model_path))
        label_tokens = LabelTokens(*renderer.label_token_ids)
    for name, stage in config.stages.items():
        _require_data(name, stage)
    return _Checked(
        config=config,
        model_path=model_path,
        prompt_set=prompt_set,
        verifier_prompt=verifier_prompt,
        label_tokens=label_tokens,
    )


def _require_data(name: str, stage: StageConfig) -> None:
    paths = [stage.solutions.rows if stage.solutions else None, stage.samples.path if stage.samples else None]
    for path in filter(None, paths):
        if not Path(path).exists():
            raise DataError(f"stages.{name}: {path}: no such file or folder")


def _content(checked: _Checked) -> dict[str, Any]:
    """Return what decides the weights of the whole run."""
    config = checked.config
    hashes = {
        name: [
            source_hash(stage.solutions.rows) if stage.solutions else None,
            source_hash(stage.samples.path) if stage.samples else None,
        ]
        for name, stage in config.stages.items()
    }
    return {
        **config.content(),
        "model_hash": model_hash(checked.model_path),
        "prompt_set_hash": checked.prompt_set.hash,
        "verifier_prompt_hash": checked.verifier_prompt.hash,
        "data_hashes": hashes,
    }


def _open_run(run: RunDirectory, checked: _Checked) -> Manifest:
    content, configuration = _content(checked), checked.config.model_dump(mode="json")
    if not run.exists("manifest.json"):
        manifest = Manifest(content=content, configuration=configuration)
    else:
        manifest = run.read_manifest()
        if differences := manifest.differences(content):
            raise RunDirectoryError(
                f"{run.root} belongs to another configuration ({'; '.join(differences[:5])}); choose another "
                "run_directory"
            )
        manifest.configuration = configuration
    run.write_manifest(manifest)
    return manifest


def _run_stages(
    run: RunDirectory, manifest: Manifest, checked: _Checked, observer: TrainingObserver
) -> Iterator[StageReport]:
    parent = checked.model_path
    if checked.config.held_out and "start" not in manifest.stages:
        observer.stage("measuring the model before training")
        manifest.stages["start"] = {"held_out": _measured(checked, parent)}
        run.write_manifest(manifest)
    for name, stage in checked.config.stages.items():
        folder = Path(run.path(name))
        if name not in manifest.stages:
            results = _run_stage(folder, name, stage, parent, checked, observer)
            (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
            manifest.stages[name] = {"ended": now(), **results}
            run.write_manifest(manifest)
        parent = str(folder / "model")
        yield StageReport(name=name, model=folder / "model", results=manifest.stages[name])


def _run_stage(
    folder: Path, name: str, stage: StageConfig, parent: str, checked: _Checked, observer: TrainingObserver
) -> dict[str, Any]:
    config = checked.config
    samples = _sample_set(folder, name, stage, parent, checked, observer)
    observer.stage(f"{name}: preparing the data")
    data = _prepare(folder, name, stage, checked, samples)
    if not (folder / "model").is_dir():
        observer.stage(f"{name}: training")
        _train(_job(folder, stage, parent, checked, data), config, observer)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    plot_losses(folder / METRICS_FILE, folder / "loss.png")
    observer.stage(f"{name}: measuring")
    results: dict[str, Any] = {"data": data, "model": str(folder / "model")}
    if config.held_out:
        results["held_out"] = _measured(checked, str(folder / "model"))
    if samples and samples.held_out:
        results["verifier"] = _verified(folder / "model", samples, checked)
    return results


def _sample_set(
    folder: Path, name: str, stage: StageConfig, parent: str, checked: _Checked, observer: TrainingObserver
) -> SampleSet | None:
    if stage.samples is None:
        return None
    config, path = checked.config, stage.samples.path or str(folder / "samples")
    if stage.samples.draw:
        observer.stage(f"{name}: drawing samples")
        draw_samples(
            stage.samples.draw,
            model=parent,
            run_directory=path,
            prompt_set=config.prompt_set,
            seed=config.seed,
            ray=config.ray,
            observer=observer,
        )
    return SampleSet(path, stage.samples, seed=config.seed, with_pairs=stage.pairwise_weight > 0)


def _prepare(
    folder: Path, name: str, stage: StageConfig, checked: _Checked, samples: SampleSet | None
) -> dict[str, Any]:
    """Write examples and units, unless that is done, and return the counts."""
    counted = folder / "data.json"
    if counted.is_file():
        found: dict[str, Any] = json.loads(counted.read_text(encoding="utf-8"))
        return found
    for part in ("examples", "units"):
        shutil.rmtree(folder / part, ignore_errors=True)
    settings = UnitSettings(
        model_path=checked.model_path,
        prompt_set=checked.config.prompt_set,
        verifier_prompt=checked.config.verifier_prompt,
        max_length=stage.max_length,
    )
    num_examples = write_examples(_examples(stage, samples, checked.config.seed), folder / "examples")
    counts = write_units(folder / "examples", folder / "units", settings)
    if not counts["units"]:
        left_out = ", ".join(f"{reason}: {counts[reason]}" for reason in LeftOut)
        raise DataError(f"stages.{name}: none of {num_examples} examples can be learned ({left_out}; see max_length)")
    data = {"examples": num_examples, **counts, **({"selection": samples.selection.describe()} if samples else {})}
    counted.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return data


def _examples(stage: StageConfig, samples: SampleSet | None, seed: int) -> Iterator[Any]:
    if stage.solutions:
        yield from solution_examples(stage.solutions, seed=seed)
    if samples:
        yield from samples.examples(with_singles=stage.pointwise_weight > 0)


def _job(folder: Path, stage: StageConfig, parent: str, checked: _Checked, data: Mapping[str, Any]) -> StageJob:
    config = checked.config
    kinds = {(True, False): "generator", (False, True): "verifier", (True, True): "both"}
    metadata: dict[str, Any] = {
        "kind": kinds[stage.solutions is not None, stage.samples is not None],
        "prompt_set": checked.prompt_set.name,
        "prompt_set_hash": checked.prompt_set.hash,
        "parent": config.model if parent == checked.model_path else Path(parent).parent.name,
        "data": dict(data),
        "training": {"seed": config.seed, **stage.model_dump(mode="json")},
    }
    if checked.label_tokens:
        metadata["verifier_prompt"] = checked.verifier_prompt.model_dump(mode="json")
        metadata["verifier_prompt_hash"] = checked.verifier_prompt.hash
        metadata["label_token_ids"] = [checked.label_tokens.correct, checked.label_tokens.incorrect]
    return StageJob(
        parent=parent,
        folder=folder,
        stage=stage,
        trainers=config.trainers,
        adapter=config.adapter,
        label_tokens=checked.label_tokens if stage.samples else None,
        seed=config.seed,
        trackers=config.trackers,
        metadata=metadata,
    )


def _train(job: StageJob, config: FinetuneConfig, observer: TrainingObserver) -> None:
    trainers = config.trainers
    resources = {"CPU": trainers.cpus_per_worker, **({"GPU": 1} if trainers.accelerator_type else {})}
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=job,
        scaling_config=ScalingConfig(
            num_workers=(trainers.min_workers, trainers.num_workers) if trainers.min_workers else trainers.num_workers,
            use_gpu=trainers.accelerator_type is not None,
            accelerator_type=trainers.accelerator_type,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name="checkpoints",
            storage_path=str(job.folder),
            failure_config=FailureConfig(max_failures=trainers.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=trainers.checkpoints_kept),
        ),
    )
    with _watched(job.folder / METRICS_FILE, observer):
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise RunFailed(_advice(error)) from error


@contextmanager
def _watched(metrics: Path, observer: TrainingObserver) -> Iterator[None]:
    """Tell the observer of new steps while the trainer works."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(POLL_SECONDS):
            if line := _last_line(metrics):
                observer.training(line)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _last_line(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    with file.open("rb") as source:
        source.seek(max(0, file.stat().st_size - 4096))
        lines = [line for line in source.read().decode("utf-8", "replace").splitlines() if line.endswith("}")]
    try:
        loaded: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return loaded


def _advice(error: TrainingFailedError) -> str:
    """Say in one line what went wrong, and what to change where that is known."""
    said = str(error)
    reason = said.strip().splitlines()[-1]
    if "FloatingPointError" in said:
        return f"{reason}; lower the stage's optimizer.learning_rate, or look at the data"
    if "out of memory" in said.lower():
        return (
            f"out of memory ({reason}); lower trainers.micro_batch_size, or set trainers.activation_checkpointing, a "
            "higher trainers.zero_stage or trainers.offload"
        )
    return f"training failed: {reason}"


def _measured(checked: _Checked, model: str) -> dict[str, Any]:
    assert checked.config.held_out is not None  # noqa: S101  asked for by the callers
    on_gpu = checked.config.trainers.accelerator_type is not None
    measure = ray.remote(num_cpus=1, num_gpus=int(on_gpu))(measure_generator)
    found: dict[str, Any] = ray.get(
        measure.remote(
            model, checked.config.held_out, prompt_set=checked.config.prompt_set, device="cuda" if on_gpu else "cpu"
        )
    )
    return found


def _verified(model: Path, samples: SampleSet, checked: _Checked) -> dict[str, Any]:
    """Measure a verifier on held-out problems, and store some of its scores with it."""
    on_gpu = checked.config.trainers.accelerator_type is not None
    renderer = VerifierRenderer(checked.verifier_prompt, load_tokenizer(str(model)))
    remote = ray.remote(num_cpus=1, num_gpus=int(on_gpu))(score_samples)
    rows = samples.held_out
    scores = ray.get(remote.remote(str(model), rows, renderer=renderer, device="cuda" if on_gpu else "cpu"))
    golden = [
        {"question": row["problem"]["question"], "solution": row["completion"], "score": score}
        for row, score in list(zip(rows, scores, strict=True))[:NUM_GOLDEN_SCORES]
    ]
    file = model / METADATA_FILE
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: damaged ({error}); delete {model} and start again") from error
    file.write_text(json.dumps({**metadata, "golden_scores": golden}, indent=2) + "\n", encoding="utf-8")
    return measure_verifier(rows, scores)
