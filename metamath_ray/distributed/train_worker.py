"""What each Ray Train worker runs: one stage, from its last checkpoint to its exported model."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import ray.train
import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine

from metamath_ray.config import AdapterConfig, StageConfig, TrainersConfig
from metamath_ray.training.deepspeed_config import deepspeed_config, learning_rate_at
from metamath_ray.training.engine import (
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
from metamath_ray.training.progress import MetricsWriter
from metamath_ray.training.steps import StepResult, Workers, share_of_step, train_step
from metamath_ray.training.unit_store import UnitStore, copy_to_disk
from metamath_ray.training.units import num_steps


@dataclass(frozen=True, kw_only=True)
class StageJob:
    """One stage of fine-tuning, as its workers need it.

    Attributes:
        parent: Folder or name of the model to start from.
        folder: The stage's folder, which every worker sees: units in, metrics and the model out.
        label_tokens: First tokens of the verifier's labels, where the stage judges.
        metadata: Content of the model's `metamath_ray.json`.
    """

    parent: str
    folder: Path
    stage: StageConfig
    trainers: TrainersConfig
    adapter: AdapterConfig | None
    label_tokens: LabelTokens | None
    seed: int
    trackers: tuple[str, ...]
    metadata: dict[str, Any]


def train_worker(job: StageJob) -> None:
    """Train one stage; the entry point of every worker."""
    context = ray.train.get_context()
    torch.manual_seed(job.seed)
    if job.trainers.accelerator_type is None:
        torch.set_num_threads(max(1, int(job.trainers.cpus_per_worker)))
    with tempfile.TemporaryDirectory() as scratch:
        store = copy_to_disk(_batches(job.folder / "units"), Path(scratch, "units.arrow"))
        run = _StageRun(job, store, rank=context.get_world_rank(), size=context.get_world_size(), scratch=Path(scratch))
        run.train(start=run.resume())
        run.export()


def _batches(folder: Path) -> Iterator[Any]:
    for piece in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(piece) as file:
            yield from file.iter_batches()


class _StageRun:
    """One stage under way in one worker."""

    def __init__(self, job: StageJob, store: UnitStore, *, rank: int, size: int, scratch: Path) -> None:
        self._job, self._store, self._scratch = job, store, scratch
        stage = job.stage
        self._num_steps = num_steps(
            len(store), epochs=stage.epochs, max_steps=stage.max_steps, global_batch_size=stage.global_batch_size
        )
        self._checkpoint = ray.train.get_checkpoint()
        self._universal = self._checkpoint is not None and self._was_split_otherwise(size)
        config = deepspeed_config(stage, job.trainers, size, universal=self._universal)
        self._workers = Workers(rank=rank, size=size, accumulation_steps=config["gradient_accumulation_steps"])
        self._tokenizer = load_tokenizer_for_training(job.parent)
        self._partitioned = partitioned_loading(config, job.trainers)
        model = load_for_training(
            job.parent, trainers=job.trainers, adapter=job.adapter, vocabulary=len(self._tokenizer)
        )
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
            convert(Path(folder), self._scratch)
            return load_state(self._engine, self._scratch, universal=True)

    def train(self, start: int) -> None:
        """Run the steps that are left."""
        job = self._job
        with self._metrics(start) as metrics:
            for step in range(start, self._num_steps):
                began = time.monotonic()
                share = share_of_step(step, self._store, job.stage, self._workers, seed=job.seed)
                rate = learning_rate_at(step, self._num_steps, job.stage.optimizer)
                result = train_step(self._engine, share, rate, self._workers)
                self._refuse_nan(result, step)
                if metrics:
                    metrics.write(step + 1, result, rate=rate, seconds=time.monotonic() - began)
                is_last = step + 1 == self._num_steps
                if (step + 1) % job.trainers.checkpoint_every_steps == 0 and not is_last:
                    self._save(step + 1, result)

    @contextmanager
    def _metrics(self, start: int) -> Iterator[MetricsWriter | None]:
        if self._workers.rank:
            yield None
            return
        with MetricsWriter(self._job.folder, start=start, num_steps=self._num_steps, trackers=self._job.trackers) as it:
            yield it

    def _refuse_nan(self, result: StepResult, step: int) -> None:
        if not math.isfinite(result.loss):
            raise FloatingPointError(f"the loss is {result.loss} at step {step + 1}")

    def _save(self, step: int, result: StepResult) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        save_state(self._engine, folder, step=step, num_workers=self._workers.size)
        dist.barrier()
        ray.train.report(
            {"step": step, **asdict(result)},
            checkpoint=ray.train.Checkpoint.from_directory(str(folder)),
            checkpoint_dir_name=f"step_{step:08d}",
        )

    def export(self) -> None:
        """Write the model; every worker helps to gather it."""
        job = self._job
        weights = gathered_weights(self._engine, only_trained=job.adapter is not None)
        self._partitioned = None
        if self._workers.rank == 0:
            fresh = job.folder / "model.tmp"
            export(
                fresh,
                parent=job.parent,
                weights=weights,
                adapter=job.adapter,
                tokenizer=self._tokenizer,
                metadata={**job.metadata, "num_steps": self._num_steps},
            )
            fresh.rename(job.folder / "model")
        dist.barrier()
