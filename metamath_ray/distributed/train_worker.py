"""What each Ray Train worker runs: one stage, from its last checkpoint to its exported model."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import torch
from deepspeed import DeepSpeedEngine
from ray.train import CheckpointConsistencyMode, CheckpointUploadMode
from ray.train.collective import barrier

from metamath_ray.config import AdapterConfig, StageConfig, TrainersConfig
from metamath_ray.distributed.node_folder import UNITS_FILE, model_on_node, node_folder
from metamath_ray.distributed.stage_files import MODEL, has_model, keep_failure, kept_failure
from metamath_ray.distributed.stage_metrics import StageMetrics
from metamath_ray.errors import MetamathRayError, RunFailed, UserError
from metamath_ray.inference.models import METADATA_FILE
from metamath_ray.storage import RunDirectory
from metamath_ray.training.deepspeed_config import deepspeed_config, learning_rate_at
from metamath_ray.training.engine import (
    UNIVERSAL,
    convert,
    gathered_weights,
    load_state,
    needs_conversion,
    partitioned_loading,
    save_state,
    start_engine,
)
from metamath_ray.training.losses import LabelTokens, PackedLoss
from metamath_ray.training.models import export, load_for_training, load_tokenizer_for_training
from metamath_ray.training.steps import StepResult, Workers, share_of_step, train_step
from metamath_ray.training.unit_store import UnitStore
from metamath_ray.training.units import num_steps
from metamath_ray.training.utilization import tokens_per_second_at_peak
from metamath_ray.types import content_id

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StageJob:
    """One stage of fine-tuning, as its workers need it.

    Attributes:
        parent: Folder, on a disk or in a bucket, or name of the model to start from.
        folder: The stage's folder, which every worker sees: units in, metrics and the model out.
        label_tokens: First tokens of the verifier's labels, where the stage judges.
        tracker_environment: Variables that the trackers read, keys among them; shown nowhere. It travels with the job,
            inside Ray; a runtime environment would be written into Ray's logs.
        metadata: Content of the model's `metamath_ray.json`.
    """

    parent: str
    folder: RunDirectory
    stage: StageConfig
    trainers: TrainersConfig
    adapter: AdapterConfig | None
    label_tokens: LabelTokens | None
    seed: int
    trackers: tuple[str, ...]
    tracker_environment: dict[str, str] = field(repr=False)
    metadata: dict[str, Any]


def train_worker(job: StageJob) -> None:
    """Train one stage; the entry point of every worker.

    What no retry would mend is kept in the stage's folder, where the driver finds it. Ray Train starts all workers anew
    when one raises; then they find it, too, and return.
    """
    if kept_failure(job.folder):
        return
    try:
        _train_stage(job)
    except MetamathRayError as error:
        keep_failure(job.folder, error)
        if isinstance(error, UserError):  # may be this worker's alone, and the others wait for it
            raise


def _train_stage(job: StageJob) -> None:
    os.environ.update(job.tracker_environment)
    torch.manual_seed(job.seed)
    if job.trainers.accelerator_type is None:
        torch.set_num_threads(max(1, int(job.trainers.cpus_per_worker)))
    with (
        node_folder(job.folder, job.parent) as shared,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
    ):
        run = _StageRun(job, shared=shared, scratch=Path(scratch))
        run.train(start=run.resume())
        run.export()
        wait_for_uploads()


def wait_for_uploads() -> None:
    """Wait until the latest checkpoint that was reported, by any worker, is in the run's folder."""
    ray.train.get_all_reported_checkpoints(consistency_mode=CheckpointConsistencyMode.COMMITTED)


class _StageRun:
    """One stage under way in one worker."""

    def __init__(self, job: StageJob, *, shared: Path, scratch: Path) -> None:
        context, stage = ray.train.get_context(), job.stage
        rank, size = context.get_world_rank(), context.get_world_size()
        self._job, self._shared, self._scratch = job, shared, scratch
        self._parent = model_on_node(job.parent, shared)
        self._store = UnitStore(shared / UNITS_FILE)
        self._num_steps = num_steps(
            len(self._store), epochs=stage.epochs, max_steps=stage.max_steps, global_batch_size=stage.global_batch_size
        )
        self._checkpoint = ray.train.get_checkpoint()
        self._universal = self._checkpoint is not None and self._was_split_otherwise(size)
        config = deepspeed_config(stage, job.trainers, size, universal=self._universal)
        self._workers = Workers(rank=rank, size=size, accumulation_steps=config["gradient_accumulation_steps"])
        self._tokenizer = load_tokenizer_for_training(self._parent)
        self._partitioned = partitioned_loading(config, job.trainers)
        model = load_for_training(self._parent, trainers=job.trainers, adapter=job.adapter)
        self._engine: DeepSpeedEngine = start_engine(
            PackedLoss(model, label_tokens=job.label_tokens, margin=stage.margin), stage, config
        )

    def _was_split_otherwise(self, size: int) -> bool:
        with self._checkpoint.as_directory() as folder:
            return needs_conversion(Path(folder), self._job.trainers, size)

    def resume(self) -> int:
        """Load the latest checkpoint, if there is one, and return the steps done."""
        if self._checkpoint is None:
            return 0
        with self._checkpoint.as_directory() as folder:
            if not self._universal:
                return load_state(self._engine, Path(folder), universal=False)
            return self._load_converted(Path(folder))

    def _load_converted(self, folder: Path) -> int:
        """Load a checkpoint of another number of workers; one worker of each node converts it for all."""
        is_first = ray.train.get_context().get_local_rank() == 0
        if is_first:
            convert(folder, self._shared)
        barrier()
        step = load_state(self._engine, self._shared, universal=True)
        barrier()
        if is_first:
            shutil.rmtree(self._shared / UNIVERSAL)
        return step

    def train(self, start: int) -> None:
        """Run the steps that are left.

        Raises:
            RunFailed: A loss or a gradient is no number; every worker raises it.
        """
        job = self._job
        with self._metrics(start) as metrics:
            for step in range(start, self._num_steps):
                began = time.monotonic()
                share = share_of_step(step, self._store, job.stage, self._workers, seed=job.seed)
                rate = learning_rate_at(step, self._num_steps, job.stage.optimizer)
                self._seed_dropout(step)
                result = train_step(self._engine, share, rate, self._workers)
                self._refuse_nan(result, step)
                if metrics:
                    metrics.write(step + 1, result, rate=rate, seconds=time.monotonic() - began)
                is_last = step + 1 == self._num_steps
                if (step + 1) % job.trainers.checkpoint_every_steps == 0 or is_last:
                    if metrics:
                        metrics.keep()
                    self._save(step + 1, result)

    @contextmanager
    def _metrics(self, start: int) -> Iterator[StageMetrics | None]:
        if self._workers.rank:
            yield None
            return
        at_peak = tokens_per_second_at_peak(self._engine.module, self._job.trainers, self._workers.size)
        with StageMetrics(
            self._job.folder,
            scratch=self._scratch,
            start=start,
            num_steps=self._num_steps,
            trackers=self._job.trackers,
            tokens_per_second_at_peak=at_peak,
        ) as writer:
            yield writer

    def _seed_dropout(self, step: int) -> None:
        """Let what is dropped follow from the step, so that a resumed run drops the same."""
        torch.manual_seed(int(content_id((self._job.seed, step, self._workers.rank))[:15], 16))

    def _refuse_nan(self, result: StepResult, step: int) -> None:
        if said := result.not_finite():
            wait_for_uploads()
            raise RunFailed(
                f"{said} at step {step + 1}; lower the stage's optimizer.learning_rate, or look at the data"
            )

    def _save(self, step: int, result: StepResult) -> None:
        """Write a checkpoint, and leave its upload to a thread, which then deletes it here; one at a time."""
        wait_for_uploads()
        logger.info("checkpoint", extra={"run": self._job.folder.root, "step": step, "rank": self._workers.rank})
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        save_state(self._engine, folder, step=step, num_workers=self._workers.size)
        ray.train.report(
            {"step": step, **asdict(result)},
            checkpoint=ray.train.Checkpoint.from_directory(str(folder)),
            checkpoint_dir_name=f"step_{step:08d}_of_{self._workers.size}",
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
        )

    def export(self) -> None:
        """Write the model, unless that was done before the last restart; every worker helps to gather it.

        Raises:
            ModelError: The weights do not fit the architecture; the first worker alone raises it.
        """
        job = self._job
        if has_model(job.folder):
            return
        weights = gathered_weights(self._engine, only_trained=job.adapter is not None)
        self._partitioned = None
        if self._workers.rank == 0:
            fresh = self._scratch / MODEL
            export(
                fresh,
                parent=self._parent,
                weights=weights,
                adapter=job.adapter,
                tokenizer=self._tokenizer,
                metadata={**job.metadata, "num_steps": self._num_steps},
            )
            files = sorted(fresh.iterdir(), key=lambda file: (file.name == METADATA_FILE, file.name))
            job.folder.remove(MODEL)  # what a killed worker left of it
            job.folder.write_files(files, MODEL)
