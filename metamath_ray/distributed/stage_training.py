"""One stage on Ray Train: start the workers, watch them, and say in one line why they failed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer

from metamath_ray.config import TrainersConfig
from metamath_ray.distributed.cluster import runtime_environment
from metamath_ray.distributed.observer import TrainingObserver
from metamath_ray.distributed.stage_files import CHECKPOINTS, forget_failure, kept_failure, write_layout
from metamath_ray.distributed.train_worker import StageJob, train_worker
from metamath_ray.errors import RunDirectoryError, RunFailed
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.filesystems import open_location
from metamath_ray.training.report import latest_figures

POLL_SECONDS, BUCKET_POLL_SECONDS = 2.0, 20.0
START_ATTEMPTS = 30
"""Ray Train waits a minute for its workers; half an hour is enough for a cluster that has to start machines."""


def train(job: StageJob, observer: TrainingObserver) -> None:
    """Train a stage, from its last checkpoint to its exported model.

    Raises:
        MetamathRayError: A worker raised it, and trying again would not help.
        RunFailed: Training failed more often than `max_failures`; the last checkpoint stays.
    """
    forget_failure(job.folder)
    write_layout(job.folder, job.trainers)
    trainer = TorchTrainer(
        train_worker, train_loop_config=job, scaling_config=_scaling(job.trainers), run_config=_run_config(job)
    )
    failed: TrainingFailedError | None = None
    with _watched(job.folder, observer):
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failed = error
    if failure := kept_failure(job.folder):
        raise failure
    if failed:
        raise RunFailed(_advice(failed)) from failed


def _scaling(trainers: TrainersConfig) -> ScalingConfig:
    return ScalingConfig(
        num_workers=(trainers.min_workers, trainers.num_workers) if trainers.min_workers else trainers.num_workers,
        use_gpu=trainers.accelerator_type is not None,
        accelerator_type=trainers.accelerator_type,
        resources_per_worker={"CPU": trainers.cpus_per_worker, **({"GPU": 1} if trainers.accelerator_type else {})},
    )


def _run_config(job: StageJob) -> RunConfig:
    filesystem, path = open_location(job.folder.root)
    return RunConfig(
        name=CHECKPOINTS,
        storage_path=path,
        storage_filesystem=filesystem,
        failure_config=FailureConfig(max_failures=job.trainers.max_failures, controller_failure_limit=START_ATTEMPTS),
        checkpoint_config=CheckpointConfig(num_to_keep=job.trainers.checkpoints_kept),
        worker_runtime_env=runtime_environment(job.trainers),
    )


@contextmanager
def _watched(folder: RunDirectory, observer: TrainingObserver) -> Iterator[None]:
    """Tell the observer of new steps while the trainer works; what an earlier start wrote is not new."""
    stop = threading.Event()

    def watch() -> None:
        seen = _latest(folder)
        while not stop.wait(POLL_SECONDS if folder.local_path else BUCKET_POLL_SECONDS):
            line = _latest(folder)
            if line and line != seen:
                observer.training(line)
            seen = line

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _latest(folder: RunDirectory) -> dict[str, Any] | None:
    """Return the latest figures; None where there are none, or where the storage is away for a moment."""
    with suppress(RunDirectoryError):
        return latest_figures(folder)
    return None


def _advice(error: TrainingFailedError) -> str:
    """Say in one line what went wrong, and what to change where that is known."""
    said = str(error)
    reason = said.strip().splitlines()[-1]
    if "out of memory" in said.lower():
        return (
            f"out of memory ({reason}); lower trainers.micro_batch_size, or set trainers.activation_checkpointing, "
            "trainers.offload or, with the stage's checkpoints deleted, a higher trainers.zero_stage"
        )
    return f"training failed: {reason}"
