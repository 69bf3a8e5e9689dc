"""The figures of a stage that trains: written into the run's folder, or for a bucket on this node and brought there."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from metamath_ray.distributed.job_metrics import TrainingMetrics
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.locations import copied
from metamath_ray.training.progress import BOARD, MetricsWriter, run_id_file
from metamath_ray.training.report import METRICS_FILE
from metamath_ray.training.steps import StepResult

KEEP_SECONDS = 30.0
"""Between two copies to a bucket, beside those that go with each checkpoint."""


class StageMetrics:
    """A `MetricsWriter` whose files reach the run's folder, wherever that is.

    Args:
        folder: The stage's.
        scratch: Folder on this node, for a stage in a bucket.
        start: Steps done.
        num_steps: Of the whole stage.
        settings: The other arguments of `MetricsWriter`.
    """

    def __init__(
        self,
        folder: RunDirectory,
        *,
        scratch: Path,
        start: int,
        num_steps: int,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._folder, self._num_steps, self._kept = folder, num_steps, time.monotonic()
        self._names = [METRICS_FILE, *(run_id_file(name) for name in settings["trackers"])]
        self._local = folder.local_path or self._fetched(scratch)
        self._writer = MetricsWriter(self._local, start=start, num_steps=num_steps, **settings)
        self._metrics = TrainingMetrics(folder.label)

    def _fetched(self, scratch: Path) -> Path:
        """Take up what an earlier start has brought to the bucket; trackers name a run by the last two folders."""
        local = scratch / self._folder.label
        local.mkdir(parents=True)
        for name in self._names:
            if self._folder.exists(name):
                copied(self._folder.path(name), local / name)
        return local

    def write(self, step: int, result: StepResult, *, rate: float, seconds: float) -> None:
        """Write one step, counted from 1."""
        self._writer.write(step, result, rate=rate, seconds=seconds)
        speed = result.num_tokens / seconds
        self._metrics.stepped(step, num_steps=self._num_steps, loss=result.loss, tokens_per_second=speed)
        if time.monotonic() - self._kept > KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Bring to a bucket what there is."""
        if self._folder.local_path is None:
            self._writer.flush()
            self._folder.write_files([file for name in self._names if (file := self._local / name).is_file()])
            self._folder.write_files(sorted((self._local / BOARD).iterdir()), BOARD)
        self._kept = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, traceback)
        if error is None:
            self.keep()
