"""A folder on each node that its workers share: units, and a model from a bucket, lie there once for all of them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.train
from ray.train.collective import barrier

from metamath_ray.distributed.stage_units import UNITS
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.locations import copied
from metamath_ray.training.unit_store import copy_to_disk
from metamath_ray.types import content_id

UNITS_FILE = "units.arrow"
_PARENT = "parent"


@contextmanager
def node_folder(folder: RunDirectory, parent: str) -> Iterator[Path]:
    """Yield a folder that the workers of this node share; one makes and removes it.

    In it are the stage's units and, if it is in a bucket, the model to start from. Its name follows from the stage's,
    so that what a killed worker left there goes with the next start.
    """
    context = ray.train.get_context()
    name = content_id((folder.root, context.get_node_rank()))
    shared, is_first = Path(tempfile.gettempdir(), f"metamath_ray_{name}"), context.get_local_rank() == 0
    if is_first:
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir(mode=0o700)
        copy_to_disk(_batches(folder), shared / UNITS_FILE)
        if "://" in parent:
            copied(parent, shared / _PARENT)
    barrier()
    try:
        yield shared
    finally:
        if is_first:
            shutil.rmtree(shared, ignore_errors=True)


def model_on_node(parent: str, shared: Path) -> str:
    """Return where the model to start from is to be loaded from."""
    return str(shared / _PARENT) if "://" in parent else parent


def _batches(folder: RunDirectory) -> Iterator[Any]:
    for piece in folder.tables(UNITS):
        yield from folder.read_batches(UNITS, piece)
