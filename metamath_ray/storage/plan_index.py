"""Where an item stands in the plan, for millions of items in little memory; and outcomes in the plan's order."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from metamath_ray.storage.run_directory import RunDirectory

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


def unfinished_positions(run: RunDirectory) -> npt.NDArray[np.int64]:
    """Return the positions of the planned items that have no outcome yet, ascending."""
    index = PlanIndex(run)
    is_finished = np.zeros(len(index), dtype=bool)
    for shard in run.outcome_shards():
        positions = index.positions(run.read_shard(shard, ["item_id"]).column("item_id").to_pylist())
        is_finished[positions[positions != NOT_PLANNED]] = True
    return np.flatnonzero(~is_finished)


def _as_bytes(item_ids: Sequence[str]) -> npt.NDArray[np.bytes_]:
    return np.array(item_ids, dtype=f"S{ID_BYTES}")


def outcomes_in_plan_order(run: RunDirectory, index: PlanIndex) -> Iterator[dict[str, Any]]:
    """Stream the outcome rows of planned items, each once, in the order of the plan.

    A shard holds neighbours of the plan, so only the shards that overlap are in memory at once.
    """
    shards = sorted(_first_positions(run, index))
    waiting: list[tuple[int, str, dict[str, Any]]] = []
    last = NOT_PLANNED
    for number, (_, shard) in enumerate(shards):
        _push_shard(run, index, shard, waiting)
        horizon = shards[number + 1][0] if number + 1 < len(shards) else None
        while waiting and (horizon is None or waiting[0][0] < horizon):
            position, _, row = heapq.heappop(waiting)
            if position != last:
                yield row
            last = position


def _first_positions(run: RunDirectory, index: PlanIndex) -> Iterator[tuple[int, str]]:
    for shard in run.outcome_shards():
        positions = index.positions(run.read_shard(shard, ["item_id"]).column("item_id").to_pylist())
        planned = positions[positions != NOT_PLANNED]
        if planned.size:
            yield int(planned.min()), shard


def _push_shard(
    run: RunDirectory, index: PlanIndex, shard: str, waiting: list[tuple[int, str, dict[str, Any]]]
) -> None:
    rows = run.read_shard(shard).to_pylist()
    positions = index.positions([row["item_id"] for row in rows])
    for position, row in zip(positions.tolist(), rows, strict=True):
        if position != NOT_PLANNED:
            heapq.heappush(waiting, (position, shard, row))
