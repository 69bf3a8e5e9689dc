from pathlib import Path

import pytest

from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory, outcome_to_row
from metamath_ray.storage.block_shards import BlockShards
from tests.records import make_item, make_outcome


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(str(tmp_path / "run"))


def rows(*numbers: int) -> list[dict[str, object]]:
    return [outcome_to_row(make_outcome(n), position=n, prompt_set_hash="h", seconds=0.0) for n in numbers]


def ids(*numbers: int) -> set[str]:
    return {make_item(number).item_id for number in numbers}


def test_what_stood_there_and_what_was_written_since_is_found_by_block(run: RunDirectory) -> None:
    run.write_outcomes(rows(0), "b1-try1-000001")
    run.write_outcomes(rows(1, 2), "b1-try2-000002")
    run.write_outcomes(rows(3), "b2-try1-000001")
    shards = BlockShards(run)
    assert shards.stored("b1").keys() == ids(0, 1, 2)
    shards.write(rows(4), "b2-try2-000002")
    shards.write(rows(5), "b3-try1-000001")
    found = {block: set(shards.stored(block)) for block in ("b1", "b2", "b3", "b")}
    assert found == {"b1": ids(0, 1, 2), "b2": ids(3, 4), "b3": ids(5), "b": set()}


def test_a_worker_in_anothers_place_finds_what_that_one_wrote(run: RunDirectory) -> None:
    first = BlockShards(run)
    assert first.stored("b1").keys() == set()
    first.write(rows(0, 1), "b1-try1-000002")
    assert BlockShards(run).stored("b1").keys() == ids(0, 1)


def test_a_shard_that_could_not_be_written_is_none(run: RunDirectory) -> None:
    shards = BlockShards(run)
    assert shards.stored("b1").keys() == set()
    run.write_bytes(b"a file where a folder is needed", "outcomes")
    with pytest.raises(RunDirectoryError):
        shards.write(rows(0), "b1-try1-000001")
    assert shards.stored("b1").keys() == set()
