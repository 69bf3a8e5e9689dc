"""Base model → stage → stage → …: the graph of fine-tuning.

lock the folder ─▶ check everything ─▶ Ray up ─▶ for each stage: examples ─▶ units ─▶ TorchTrainer ─▶ model ─▶ measure

A stage that is done is skipped, one that was interrupted goes on from its last checkpoint.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import ray

from metamath_ray.capacity import check_nodes, check_versions, trainer_bundles
from metamath_ray.config import DrawConfig, FinetuneConfig, StageConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.draw_samples import draw_samples
from metamath_ray.distributed.finetune_checks import (
    Checked,
    check,
    open_run,
    required,
    skipped_line,
    tracker_environment,
)
from metamath_ray.distributed.machines import node_groups, node_versions
from metamath_ray.distributed.observer import Silent, TrainingObserver
from metamath_ray.distributed.preflight import require_writable
from metamath_ray.distributed.stage_files import CHECKPOINTS, MODEL, has_model, read_json, write_json
from metamath_ray.distributed.stage_measure import generator_quality, verifier_quality
from metamath_ray.distributed.stage_training import train
from metamath_ray.distributed.stage_units import EXAMPLES, UNITS, UnitSettings, write_examples, write_units
from metamath_ray.distributed.train_worker import StageJob
from metamath_ray.errors import DataError
from metamath_ray.storage import Manifest, RunDirectory
from metamath_ray.storage.manifest import now
from metamath_ray.training.examples import Example, LeftOut
from metamath_ray.training.plot import plot_losses
from metamath_ray.training.report import METRICS_FILE, FinetuneReport, StageReport
from metamath_ray.training.stage_data import JudgedSample, SampleSet, SolutionSet, held_out_samples

GPU_ADVICE = "lower trainers.num_workers, leave trainers.accelerator_type out to train on CPU, or give ray.address"


def finetune(config: FinetuneConfig, observer: TrainingObserver | None = None) -> FinetuneReport:
    """Run all stages, or those that are left.

    Raises:
        UserError: Something is missing or does not fit; nothing was trained by then, unless a stage's data is at fault,
            which is read when the stage begins.
        RunFailed: Training failed and was not to be saved; the last checkpoint stays.
    """
    run, watching = RunDirectory(config.run_directory), observer or Silent()
    num_cpus, num_gpus = required(config)
    with run.lock():
        watching.stage("checking model, prompts and data")
        checked = check(config, observer=watching)
        require_writable(run)
        manifest = open_run(run, checked)
        watching.stage("starting Ray")
        logs = run.local_path / "logs" if run.local_path else None
        with connected(config.ray, num_cpus=num_cpus, num_gpus=num_gpus, gpu_advice=GPU_ADVICE, logs=logs):
            _announce_missing_gpus(num_gpus, watching)
            check_nodes(trainer_bundles(config.trainers), node_groups())
            check_versions(node_versions())
            stages = list(_run_stages(run, manifest, checked, watching))
            return FinetuneReport(start=manifest.stages.get("start", {}), stages=stages)


def _announce_missing_gpus(num_gpus: int, observer: TrainingObserver) -> None:
    """An autoscaling cluster may have none now, so this is no error."""
    found = int(ray.cluster_resources().get("GPU", 0))
    if found < num_gpus:
        observer.stage(f"the cluster has {found} of the {num_gpus} GPUs that are needed; waiting where it has to")


def _run_stages(
    run: RunDirectory, manifest: Manifest, checked: Checked, observer: TrainingObserver
) -> Iterator[StageReport]:
    parent = checked.model_path
    held_out = checked.config.held_out
    if held_out and held_out.before_training and "start" not in manifest.stages:
        observer.stage("measuring the model before training")
        manifest.stages["start"] = {"held_out": generator_quality(parent, RunDirectory(run.path("start")), checked)}
        run.write_manifest(manifest)
    for name, stage in checked.config.stages.items():
        folder = RunDirectory(run.path(name))
        if name not in manifest.stages:
            results = _run_stage(name, folder, stage, parent, checked, observer)
            write_json(results, folder, "results.json")
            manifest.stages[name] = {"ended": now(), **results}
            run.write_manifest(manifest)
        parent = folder.path(MODEL)
        yield StageReport(name=name, model=parent, results=manifest.stages[name])


def _run_stage(
    name: str, folder: RunDirectory, stage: StageConfig, parent: str, checked: Checked, observer: TrainingObserver
) -> dict[str, Any]:
    if stage.samples and stage.samples.draw:
        observer.stage(f"{name}: drawing samples")
        _draw(stage.samples.draw, folder, parent, checked.config, observer)
    observer.stage(f"{name}: preparing the data")
    data = _prepare(name, folder, stage, checked, observer)
    if not has_model(folder):
        observer.stage(f"{name}: training")
        train(_job(folder, stage, parent, checked, data), observer)
    folder.remove(CHECKPOINTS)
    folder.write_bytes(plot_losses(folder.read_text(METRICS_FILE), name=name), "loss.png")
    observer.stage(f"{name}: measuring")
    return {"data": data, "model": folder.path(MODEL), **_measured(folder, stage, checked)}


def _draw(
    draw: DrawConfig, folder: RunDirectory, parent: str, config: FinetuneConfig, observer: TrainingObserver
) -> None:
    draw_samples(
        draw,
        model=parent,
        run_directory=folder.path("samples"),
        prompt_set=config.prompt_set,
        seed=config.seed,
        ray=config.ray,
        observer=observer,
    )


def _prepare(
    name: str, folder: RunDirectory, stage: StageConfig, checked: Checked, observer: TrainingObserver
) -> dict[str, Any]:
    """Write examples and units, unless that is done, and return the counts."""
    if (done := read_json(folder, "data.json")) is not None:
        return done
    for part in (EXAMPLES, UNITS):
        folder.remove(part)
    seed = checked.config.seed
    solutions = SolutionSet(stage.solutions, seed=seed) if stage.solutions else None
    samples = _sample_set(folder, stage, seed)
    num_examples = write_examples(_examples(stage, solutions, samples), folder)
    invalid = solutions.invalid if solutions else []
    if invalid:
        observer.notice(skipped_line(f"stages.{name}", invalid))
    settings = UnitSettings(
        model_path=checked.model_path,
        prompt_set=checked.prompt_set,
        verifier_prompt=checked.verifier_prompt if samples else None,
        max_length=stage.max_length,
    )
    counts = {**write_units(folder, settings), LeftOut.MALFORMED.value: len(invalid)}
    if not counts["units"]:
        left_out = ", ".join(f"{reason}: {counts[reason]}" for reason in LeftOut)
        raise DataError(f"stages.{name}: none of {num_examples} examples can be learned ({left_out}; see max_length)")
    data = {"examples": num_examples, **counts, **({"selection": samples.selection.describe()} if samples else {})}
    write_json(data, folder, "data.json")
    return data


def _sample_set(folder: RunDirectory, stage: StageConfig, seed: int) -> SampleSet | None:
    if stage.samples is None:
        return None
    return SampleSet(_sample_paths(folder, stage), stage.samples, seed=seed, with_pairs=stage.pairwise_weight > 0)


def _sample_paths(folder: RunDirectory, stage: StageConfig) -> tuple[str, ...]:
    return (stage.samples and stage.samples.path) or (folder.path("samples"),)


def _examples(stage: StageConfig, solutions: SolutionSet | None, samples: SampleSet | None) -> Iterator[Example]:
    if solutions:
        yield from solutions.examples()
    if samples:
        yield from samples.examples(with_singles=stage.pointwise_weight > 0)


def _job(folder: RunDirectory, stage: StageConfig, parent: str, checked: Checked, data: Mapping[str, Any]) -> StageJob:
    config = checked.config
    return StageJob(
        parent=parent,
        folder=folder,
        stage=stage,
        trainers=config.trainers,
        adapter=config.adapter,
        label_tokens=checked.label_tokens if stage.samples else None,
        seed=config.seed,
        trackers=config.trackers,
        tracker_environment=tracker_environment(config),
        metadata=_metadata(stage, parent, checked, data),
    )


def _metadata(stage: StageConfig, parent: str, checked: Checked, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the model's `metamath_ray.json` says."""
    config = checked.config
    kinds = {(True, False): "generator", (False, True): "verifier", (True, True): "both"}
    metadata: dict[str, Any] = {
        "kind": kinds[stage.solutions is not None, stage.samples is not None],
        "prompt_set": checked.prompt_set.name,
        "prompt_set_hash": checked.prompt_set.hash,
        "parent": config.model if parent == checked.model_path else PurePosixPath(parent).parent.name,
        "data": dict(data),
        "training": {"seed": config.seed, **stage.model_dump(mode="json")},
    }
    if checked.label_tokens:
        metadata["verifier_prompt"] = checked.verifier_prompt.model_dump(mode="json")
        metadata["verifier_prompt_hash"] = checked.verifier_prompt.hash
        metadata["label_token_ids"] = [checked.label_tokens.correct, checked.label_tokens.incorrect]
    return metadata


def _measured(folder: RunDirectory, stage: StageConfig, checked: Checked) -> dict[str, Any]:
    results: dict[str, Any] = {}
    if checked.held_out:
        results["held_out"] = generator_quality(folder.path(MODEL), folder, checked)
    if samples := _held_out_samples(folder, stage, checked.config.seed):
        results["verifier"] = verifier_quality(folder, samples, checked)
    return results


def _held_out_samples(folder: RunDirectory, stage: StageConfig, seed: int) -> list[JudgedSample]:
    return held_out_samples(_sample_paths(folder, stage), stage.samples, seed=seed) if stage.samples else []
