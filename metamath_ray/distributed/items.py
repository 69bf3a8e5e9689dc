"""The one operator: work items → outcomes, a coroutine a row, stored as they finish, resumable.

    unfinished rows of plan.parquet ──▶ blocks of `batch_size` ──▶ ItemWorker (fixed pool) ──▶ counts
                                                                        └──▶ outcomes/<block>-<try>-<n>.parquet

A worker keeps `rows_in_flight` items going over several blocks, so that no item waits for another. It stores what has
finished every few seconds. A shard's name begins with the hash of its block's ids: when Ray runs a block again after a
worker died, the one in its place finds what is stored and does the rest only. A worker that is cut off is not dead and
may store what another one stores, too; so each try has shards of its own, and who reads outcomes takes an item once.

When a run has cost enough, its gate closes: no more rows are begun, and those in flight are finished and stored.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from metamath_ray.config import ExecutionConfig
from metamath_ray.distributed.gate import AlwaysOpen, Gate, cluster_gate
from metamath_ray.distributed.job_metrics import ItemMetrics
from metamath_ray.distributed.plan_source import PlanSource
from metamath_ray.errors import AccessDenied, MetamathRayError, RunFailed, UserError
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.block_shards import BlockShards
from metamath_ray.types import OutcomeStatus, content_id

logger = logging.getLogger(__name__)

BLOCKS_AHEAD = 1
"""Blocks that wait at a worker beside those it works on, so that it never idles."""


class ItemRunner(Protocol):
    """Turns one row of the plan into one row of outcomes."""

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Run one item to its end; an exception ends the whole run, so a row's own trouble is part of its outcome."""


@dataclass(frozen=True, kw_only=True)
class ItemsJob:
    """What a worker needs; crosses to it by pickle, inside Ray.

    Attributes:
        mark: The start that this worker belongs to (`RunDirectory.claim`).
        gate: Says when no more rows may be begun.
    """

    run: RunDirectory
    mark: str
    make_runner: Callable[[], ItemRunner]
    execution: ExecutionConfig
    retry_failed: bool = False
    gate: Gate = field(default_factory=AlwaysOpen)


@dataclass(frozen=True, kw_only=True)
class BlockCounts:
    """What one block came to; the only thing that travels back to the driver.

    Attributes:
        num_tokens: Tokens that were generated; `num_prompt_tokens` were read.
        fatal: Why the run must end, "" when it may go on.
        is_users_fault: Whether the user can fix it: a wrong key, a full disk.
    """

    num_items: int = 0
    num_accepted: int = 0
    num_failed: int = 0
    num_tokens: int = 0
    num_prompt_tokens: int = 0
    fatal: str = ""
    is_users_fault: bool = False

    def __add__(self, other: "BlockCounts") -> "BlockCounts":
        return BlockCounts(
            num_items=self.num_items + other.num_items,
            num_accepted=self.num_accepted + other.num_accepted,
            num_failed=self.num_failed + other.num_failed,
            num_tokens=self.num_tokens + other.num_tokens,
            num_prompt_tokens=self.num_prompt_tokens + other.num_prompt_tokens,
            fatal=self.fatal or other.fatal,
            is_users_fault=self.is_users_fault or other.is_users_fault,
        )


class ItemWorker:
    """The actor behind the operator."""

    def __init__(self, job: ItemsJob) -> None:
        self._job = job
        self._runner = job.make_runner()
        self._shards = BlockShards(job.run)
        self._slots = asyncio.Semaphore(job.execution.rows_in_flight)
        self._closed: asyncio.Task[None] | None = None
        self._metrics = ItemMetrics(job.run.label)
        self._num_in_flight = 0

    async def __call__(self, block: pa.Table) -> pa.Table:
        """Run a block of plan rows; return its `BlockCounts` as a table of one row, of none behind a closed gate."""
        rows = block.to_pylist()
        attempt = self._job.mark if self._job.retry_failed else ""
        shard = content_id([attempt, *(row["item_id"] for row in rows)])
        self._closed = self._closed or asyncio.create_task(self._job.gate.closed())
        if not await self._job.gate.enter(shard):
            return pa.Table.from_pylist([vars(BlockCounts())]).slice(0, 0)
        try:
            counts = await self._run_block(rows, shard)
        except MetamathRayError as error:
            counts = fatal_counts(error)
        return pa.Table.from_pylist([vars(counts)])

    async def _run_block(self, rows: list[dict[str, Any]], shard: str) -> BlockCounts:
        stored = await asyncio.to_thread(self._shards.stored, shard)
        pending = {asyncio.create_task(self._run_row(row)) for row in rows if row["item_id"] not in stored}
        try:
            return await self._finish(pending, f"{shard}-{uuid.uuid4().hex[:8]}", list(stored.values()))
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _finish(
        self, pending: set[asyncio.Task[dict[str, Any] | None]], shard: str, stored: list[dict[str, Any]]
    ) -> BlockCounts:
        """Store outcomes as they come, until all are there or one says that the run must end.

        What was stored before, by a worker that died with the block in hand, nobody has counted yet.
        """
        counts, num_stored, wait_seconds = count_outcomes(stored), len(stored), self._job.execution.flush_seconds
        while pending and not counts.fatal:
            finished, pending = await asyncio.wait(pending, timeout=wait_seconds, return_when=asyncio.FIRST_EXCEPTION)
            outcomes = [outcome for task in finished if not task.exception() and (outcome := task.result())]
            if outcomes:
                num_stored += len(outcomes)
                await asyncio.to_thread(self._store, outcomes, f"{shard}-{num_stored:06d}")
                self._tell(outcomes, shard)
            counts += count_outcomes(outcomes)
            for error in filter(None, (task.exception() for task in finished)):
                counts += fatal_counts(error)
        return counts

    def _tell(self, outcomes: list[dict[str, Any]], shard: str) -> None:
        """Say what was stored, in figures and ids alone: a failed item's error is in its outcome."""
        self._metrics.stored(outcomes)
        ids = {"run": self._job.run.root, "block": shard}
        counts = count_outcomes(outcomes)
        figures = {"num_items": counts.num_items, "num_accepted": counts.num_accepted, "num_failed": counts.num_failed}
        logger.info("stored", extra={**ids, **figures, "num_tokens": counts.num_tokens})
        for row in outcomes:
            if row["status"] == OutcomeStatus.FAILED:
                reason = row.get("reason") or "failed"
                logger.info("item failed", extra={**ids, "item": row["item_id"], "reason": reason})

    def _store(self, outcomes: list[dict[str, Any]], shard: str) -> None:
        """Write a shard, unless a later start took the run over: then this worker's driver is dead."""
        if not self._job.run.is_claimed_by(self._job.mark):
            raise RunFailed("another start took this run over")
        self._shards.write(outcomes, shard)

    async def _run_row(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Run a row when its turn comes; None if the gate was closed by then."""
        async with self._slots:
            if self._closed and self._closed.done():
                return self._closed.result()  # raises where the gate was lost
            self._move(+1)
            try:
                return await self._runner.run(row)
            finally:
                self._move(-1)

    def _move(self, by: int) -> None:
        self._num_in_flight += by
        self._metrics.in_flight(self._num_in_flight)


def count_outcomes(rows: list[dict[str, Any]]) -> BlockCounts:
    """Count outcome rows."""
    return BlockCounts(
        num_items=len(rows),
        num_accepted=sum(row["status"] == "accepted" for row in rows),
        num_failed=sum(row["status"] == "failed" for row in rows),
        num_tokens=sum(completion_tokens(row) for row in rows),
        num_prompt_tokens=sum(map(_prompt_tokens, rows)),
    )


def fatal_counts(error: BaseException) -> BlockCounts:
    """Say that the run must end, and why."""
    known = isinstance(error, MetamathRayError)
    fatal = str(error) if known else f"unexpected {type(error).__name__}: {error}"
    return BlockCounts(fatal=fatal, is_users_fault=isinstance(error, UserError | AccessDenied))


def completion_tokens(row: dict[str, Any]) -> int:
    """Return the tokens that were generated for an outcome row; what is scored generates none."""
    return sum(row[stage]["num_completion_tokens"] for stage in ("rewrite", "solution") if row.get(stage))


def _prompt_tokens(row: dict[str, Any]) -> int:
    """Return the tokens of an outcome row's prompts, or of the one prompt that a solution was scored by."""
    asked: int = sum(row[stage]["num_prompt_tokens"] for stage in ("rewrite", "solution") if row.get(stage))
    return asked + int(row.get("num_prompt_tokens") or 0)


def run_items(job: ItemsJob, *, is_over: Callable[[], bool] | None = None) -> Generator[BlockCounts, None, None]:
    """Run every planned item that has no outcome; yield the counts of each block as it ends.

    Closing the iterator stops the work; what finished since the last flush is done again at the next start.

    Args:
        job: What is run.
        is_over: Asked after each block. Once it is so, no more rows are begun, and the iterator ends with the last
            block under way.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    try:
        with ExitStack() as up:
            gate = up.enter_context(cluster_gate()) if is_over else None
            blocks = up.enter_context(closing(_blocks(replace(job, gate=gate) if gate else job)))
            num_begun: int | None = None
            for num_ended, counts in enumerate(blocks, start=1):
                yield counts
                if gate and is_over and num_begun is None and is_over():
                    num_begun = gate.close()
                if num_ended == num_begun:
                    return
    except RayError as error:
        raise RunFailed(f"Ray gave up: {str(error).strip().splitlines()[-1]}; what is done is stored") from error


def _blocks(job: ItemsJob) -> Generator[BlockCounts, None, None]:
    """Yield the counts of each block; of one that found the gate closed, nothing."""
    execution = job.execution
    blocks_at_once = max(2, -(-2 * execution.rows_in_flight // execution.batch_size))
    source = PlanSource(job.run, rows_per_block=execution.batch_size, retry_failed=job.retry_failed)
    if not source.num_blocks:
        return
    dataset = ray.data.read_datasource(source, override_num_blocks=source.num_blocks).map_batches(
        ItemWorker,
        fn_constructor_args=(job,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(
            size=execution.num_workers,
            max_tasks_in_flight_per_actor=blocks_at_once + BLOCKS_AHEAD,
            max_concurrent_calls_per_actor=blocks_at_once,
        ),
        num_cpus=1,
    )
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in batch.to_pylist():
            yield BlockCounts(**row)
