"""The unfinished part of a plan as a Ray Data source: one read task a block of work."""

from collections.abc import Iterable
from functools import partial

import pyarrow as pa
from ray.data import DataContext
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from metamath_ray.storage import RunDirectory, unfinished_positions

BYTES_PER_ROW = 1024
"""Rough size of a plan row in memory, for Ray Data's accounting."""


class PlanSource(Datasource):  # type: ignore[misc]
    """Reads a few plan rows a task.

    Ray Data fuses the read into the worker that runs the rows, so no plan row passes through the driver or the object
    store, and a block that is run again holds the same rows.
    """

    def __init__(self, run: RunDirectory, *, rows_per_block: int, retry_failed: bool = False) -> None:
        super().__init__()
        self._run = run
        positions = unfinished_positions(run, retry_failed=retry_failed)
        self._blocks = [positions[start : start + rows_per_block] for start in range(0, len(positions), rows_per_block)]

    @property
    def num_blocks(self) -> int:
        """Number of read tasks."""
        return len(self._blocks)

    def estimate_inmemory_data_size(self) -> int:
        """Return the rough size of all rows, in bytes."""
        return sum(len(block) for block in self._blocks) * BYTES_PER_ROW

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """Return a task for each block; the number of blocks is given by the work, not by `parallelism`."""
        return [
            ReadTask(
                partial(_read_block, self._run, block.tolist()),
                BlockMetadata(
                    num_rows=len(block), size_bytes=len(block) * BYTES_PER_ROW, exec_stats=None, input_files=None
                ),
            )
            for block in self._blocks
        ]


def _read_block(run: RunDirectory, positions: list[int]) -> Iterable[pa.Table]:
    yield run.read_plan_rows(positions)
