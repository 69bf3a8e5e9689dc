from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metamath_ray.training.unit_store import UnitStore, copy_to_disk
from metamath_ray.training.units import Unit, UnitKind
from tests.unit.training.tiny import make_store, make_units, record_batch

UNITS = make_units(2, *(kind for _ in range(4) for kind in UnitKind))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> UnitStore:
    return make_store(UNITS, tmp_path_factory.mktemp("store"), rows_per_batch=5)


@given(positions=st.lists(st.integers(0, len(UNITS) - 1)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_units_come_back_equal_in_the_order_asked_for(store: UnitStore, positions: list[int]) -> None:
    assert store.take(positions) == [UNITS[position] for position in positions]


def test_sizes_are_known_without_reading_the_units(store: UnitStore) -> None:
    assert len(store) == len(UNITS)
    assert store.num_tokens.tolist() == [unit.num_tokens for unit in UNITS]
    assert store.num_targets.tolist() == [unit.num_targets for unit in UNITS]
    assert store.num_judged.tolist() == [len(unit.labels) for unit in UNITS]
    assert store.num_pairs.tolist() == [unit.kind is UnitKind.PAIR for unit in UNITS]


def test_neither_opening_nor_reading_copies_the_table(tmp_path: Path) -> None:
    """Arrow's own `take` joins the pieces of a nested column first: the whole data set, at every step."""
    long = Unit(kind=UnitKind.SOLUTION, token_ids=(tuple(range(2000)),), num_prompt_tokens=(5,))
    batch = record_batch([long] * 50)
    num_bytes = 20 * batch.nbytes
    copy_to_disk([batch] * 20, tmp_path / "units.arrow")
    before, highest = pa.total_allocated_bytes(), pa.default_memory_pool().max_memory()
    ballast = pa.allocate_buffer(max(0, highest - before))  # so that the highest is what comes now
    opened = UnitStore(tmp_path / "units.arrow")
    assert opened.take([999, 0, 500]) == [long] * 3
    assert pa.default_memory_pool().max_memory() - max(highest, before + ballast.size) < num_bytes / 10


def test_pieces_written_as_parquet_are_copied_a_batch_at_a_time(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_batches([record_batch(UNITS)]), tmp_path / "piece.parquet")
    with pq.ParquetFile(tmp_path / "piece.parquet") as piece:
        store = copy_to_disk(piece.iter_batches(batch_size=5), tmp_path / "units.arrow")
    assert store.take(range(len(UNITS))) == UNITS
