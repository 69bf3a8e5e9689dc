"""The units of a stage on a node's disk, read by position without holding them in memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from metamath_ray.training.units import UNIT_SCHEMA, Unit, UnitKind


class UnitStore:
    """Memory-mapped units; only their sizes are held, some 13 bytes a unit."""

    def __init__(self, file: Path) -> None:
        self._table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
        self.num_tokens = self._table.column("num_tokens").to_numpy()
        self.num_targets = self._table.column("num_targets").to_numpy()
        self.num_judged = pc.list_value_length(self._table.column("labels")).to_numpy()
        self.num_pairs = pc.equal(self._table.column("kind"), str(UnitKind.PAIR)).to_numpy()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def take(self, positions: Sequence[int]) -> list[Unit]:
        """Read some units, in the order asked for; the table's own `take` would copy all of it first."""
        return [Unit.from_row(self._table.slice(int(position), 1).to_pylist()[0]) for position in positions]


def copy_to_disk(batches: Iterable[pa.RecordBatch], file: Path) -> UnitStore:
    """Copy units into one file that can be mapped, a batch at a time."""
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, UNIT_SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return UnitStore(file)
