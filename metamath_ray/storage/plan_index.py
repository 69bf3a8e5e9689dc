"""Where an item stands in the plan, for millions of items in little memory; and outcomes in the plan's order."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from metamath_ray.storage.run_directory import RunDirectory
from metamath_ray.types import OutcomeStatus

ID_BYTES = 24
NOT_PLANNED = -1


class PlanIndex:
    """item_id → position, as two sorted arrays: 32 bytes an item."""

    def __init__(self, run: RunDirectory) -> None:
        chunks = [_as_bytes(batch.column("item_id").to_pylist()) for batch in run.plan_batches(["item_id"])]
        ids = np.concatenate(chunks) if chunks else _as_bytes([])
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    def positions(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the positions of the items, `NOT_PLANNED` for ids that the plan does not hold."""
        if not len(self):
            return np.full(len(item_ids), NOT_PLANNED, dtype=np.int64)
        wanted = _as_bytes(item_ids)
        places = np.minimum(np.searchsorted(self._ids, wanted), len(self) - 1)
        return np.where(self._ids[places] == wanted, self._order[places], NOT_PLANNED)


def unfinished_positions(run: RunDirectory, *, retry_failed: bool = False) -> npt.NDArray[np.int64]:
    """Return the positions of the planned items that have no outcome yet, ascending.

    Args:
        retry_failed: Count a failed outcome as none.
    """
    index = PlanIndex(run)
    is_finished = np.zeros(len(index), dtype=bool)
    for shard in run.outcome_shards():
        table = run.read_shard(shard, ["item_id", "status"])
        if retry_failed:
            table = table.filter(pc.not_equal(table.column("status"), OutcomeStatus.FAILED.value))
        positions = index.positions(table.column("item_id").to_pylist())
        is_finished[positions[positions != NOT_PLANNED]] = True
    return np.flatnonzero(~is_finished)


def _as_bytes(item_ids: Sequence[str]) -> npt.NDArray[np.bytes_]:
    return np.array(item_ids, dtype=f"S{ID_BYTES}")


def outcomes_in_plan_order(
    run: RunDirectory, index: PlanIndex, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Stream the outcome rows of planned items, each once, in the order of the plan.

    A shard holds neighbours of the plan, so only the shards that overlap are in memory at once. Where an item stands
    twice (it failed and was tried again), an outcome that is not a failure goes first.

    Args:
        columns: What of a row is wanted; "item_id" and "status" have to be among it.
    """
    shards = sorted(_first_positions(run, index))
    waiting: list[tuple[int, bool, int, dict[str, Any]]] = []
    last, pushed = NOT_PLANNED, count()
    for number, (_, shard) in enumerate(shards):
        rows = run.read_shard(shard, columns).to_pylist()
        positions = index.positions([row["item_id"] for row in rows])
        for position, row in zip(positions.tolist(), rows, strict=True):
            if position != NOT_PLANNED:
                is_failed = row["status"] == OutcomeStatus.FAILED
                heapq.heappush(waiting, (position, is_failed, next(pushed), row))
        horizon = shards[number + 1][0] if number + 1 < len(shards) else None
        while waiting and (horizon is None or waiting[0][0] < horizon):
            position, *_, row = heapq.heappop(waiting)
            if position != last:
                yield row
            last = position


def _first_positions(run: RunDirectory, index: PlanIndex) -> Iterator[tuple[int, str]]:
    for shard in run.outcome_shards():
        positions = index.positions(run.read_shard(shard, ["item_id"]).column("item_id").to_pylist())
        planned = positions[positions != NOT_PLANNED]
        if planned.size:
            yield int(planned.min()), shard
