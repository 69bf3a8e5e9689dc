"""A folder on each node that its workers share: the stage's units lie there once, whatever the number of workers."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import ray.train
from ray.train.collective import barrier

from metamath_ray.training.unit_store import copy_to_disk
from metamath_ray.types import content_id

UNITS_FILE = "units.arrow"


@contextmanager
def node_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder with the stage's units that the workers of this node share; one makes and removes it.

    Its name follows from the stage's, so that what a killed worker left there goes with the next start.
    """
    context = ray.train.get_context()
    name = content_id((str(folder), context.get_node_rank()))
    shared, is_first = Path(tempfile.gettempdir(), f"metamath_ray_{name}"), context.get_local_rank() == 0
    if is_first:
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir(mode=0o700)
        copy_to_disk(_batches(folder / "units"), shared / UNITS_FILE)
    barrier()
    try:
        yield shared
    finally:
        if is_first:
            shutil.rmtree(shared, ignore_errors=True)


def _batches(folder: Path) -> Iterator[Any]:
    for piece in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(piece) as file:
            yield from file.iter_batches()
