"""Run all that is planned and not done: progress for whoever watches, and an end for what is hopeless or paid for."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from metamath_ray.capacity import Budget, budget_of
from metamath_ray.config import BootstrapConfig, SampleConfig
from metamath_ray.distributed.items import BlockCounts, ItemsJob, run_items
from metamath_ray.distributed.observer import Observer
from metamath_ray.errors import RunFailed, UserError
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.tables import TOKEN_COUNTS

MIN_ITEMS_TO_JUDGE = 50
"""The failure ratio means nothing before so many items."""


class Spending:
    """What a run has spent, earlier starts included, against what it may.

    Counts the tokens that stand in the outcomes stored before, those of items that failed and were run again, too, and
    what it is told of since. What an engine made and nobody stored is not known here.

    Args:
        budget: What it may spend.
        runs: The run directories that share the budget.
    """

    def __init__(self, budget: Budget, runs: Sequence[RunDirectory]) -> None:
        self._budget = budget
        self._num_tokens = sum(map(_stored_tokens, runs))
        self._earlier_seconds = sum(map(_recorded_seconds, runs))
        self._began = time.monotonic()
        self._is_told = False

    def is_over(self, observer: Observer) -> bool:
        """Whether the budget is reached; the first time that it is, the observer is told."""
        said = self.reached()
        if said and not self._is_told:
            observer.notice(f"budget reached: {said}; the same command with a larger budget resumes")
            self._is_told = True
        return bool(said)

    def add(self, counts: BlockCounts) -> None:
        """Count what has been stored since."""
        self._num_tokens += counts.num_tokens + counts.num_prompt_tokens

    def reached(self) -> str:
        """Say which limit is reached; "" while none is."""
        seconds = self._earlier_seconds + time.monotonic() - self._began
        return self._budget.reached(self._num_tokens, seconds)


def spending_of(config: BootstrapConfig | SampleConfig, *runs: RunDirectory, num_gpus: int) -> Spending | None:
    """Return what watches the budget of some run directories together; None without a budget.

    Args:
        num_gpus: GPUs that are paid for while it runs.
    """
    budget = budget_of(
        config.budget,
        price_per_million_tokens=config.price_per_million_tokens,
        price_per_gpu_hour=config.price_per_gpu_hour,
        num_gpus=num_gpus,
    )
    return Spending(budget, runs) if budget else None


def note_budget(run: RunDirectory, spending: Spending | None, *, is_left: bool) -> None:
    """Keep in the manifest whether the budget has ended this start, for the loop and for `status`.

    Args:
        run: The run directory of the whole.
        spending: What watched the budget.
        is_left: Whether something is left to do.
    """
    manifest = run.read_manifest()
    before, reached = manifest.budget_reached, spending.reached() if spending and is_left else ""
    if before != reached:
        manifest.note_budget(reached)
        run.write_manifest(manifest)


def _recorded_seconds(run: RunDirectory) -> float:
    if not run.exists("manifest.json"):
        return 0.0
    return float(sum(stage.get("seconds", 0.0) for stage in run.read_manifest().stages.values()))


def _stored_tokens(run: RunDirectory) -> int:
    return sum(_shard_tokens(run, shard) for shard in run.outcome_shards())


def _shard_tokens(run: RunDirectory, shard: str) -> int:
    batches = run.read_batches("outcomes", f"{shard}.parquet", columns=TOKEN_COUNTS)
    tables = (pa.Table.from_batches([batch]).flatten() for batch in batches)
    return sum(pc.sum(column).as_py() or 0 for table in tables for column in table.columns)


def run_all(
    job: ItemsJob,
    *,
    earlier: BlockCounts,
    observer: Observer,
    record: Callable[[BlockCounts, float], None],
    spending: Spending | None = None,
) -> None:
    """Run a job to its end, or until its budget is reached.

    Args:
        job: What is run.
        earlier: What is done already.
        observer: Told of progress, and of a budget that is reached.
        record: Told what this start did, and in how many seconds, however it ends.
        spending: Looked at before the first block and after each; when it is reached, no more items are begun, and
            those in flight are finished and stored.

    Raises:
        UserError: It cannot go on before the user does something.
        RunFailed: Too many items failed or the engine stayed away; what is done is stored.
    """
    if spending and spending.is_over(observer):
        return
    total, limit = job.run.count_plan(), job.execution.max_failure_ratio
    observer.progress(earlier, total)
    counts, began = BlockCounts(), time.monotonic()
    is_over = partial(spending.is_over, observer) if spending else None
    try:
        with closing(run_items(job, is_over=is_over)) as blocks:
            for block in blocks:
                counts += block
                if spending:
                    spending.add(block)
                observer.progress(earlier + counts, total)
                if counts.fatal or counts.num_items >= MIN_ITEMS_TO_JUDGE:
                    _stop_if_hopeless(counts, limit, job.run)
        _stop_if_hopeless(counts, limit, job.run)
    finally:
        record(counts, time.monotonic() - began)


def _stop_if_hopeless(counts: BlockCounts, max_failure_ratio: float, run: RunDirectory) -> None:
    if counts.fatal:
        kind = UserError if counts.is_users_fault else RunFailed
        raise kind(f"{counts.fatal} [{counts.num_items} items are stored in {run.path('outcomes')}]")
    if counts.num_failed > max_failure_ratio * counts.num_items:
        raise RunFailed(
            f"{counts.num_failed} of {counts.num_items} items failed, more than execution.max_failure_ratio allows "
            f"({max_failure_ratio:.0%}); their errors are in {run.path('outcomes')}"
        )
