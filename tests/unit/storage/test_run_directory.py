import multiprocessing
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from metamath_ray.errors import DataError, RunDirectoryError
from metamath_ray.storage import (
    Manifest,
    PlanIndex,
    RunDirectory,
    item_to_row,
    outcome_to_row,
    outcomes_in_plan_order,
    summarize,
    unfinished_positions,
)
from metamath_ray.storage.filesystems import open_location
from metamath_ray.storage.run_directory import ROWS_PER_GROUP
from metamath_ray.types import OutcomeStatus
from tests.records import make_item, make_outcome


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(str(tmp_path / "run"))


@pytest.fixture(params=["path", "file URL", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    """A run on this machine, and one on a file system that pyarrow opens by URL."""
    place = tmp_path / "run"
    memory = f"fsspec+memory://{tmp_path.name}/run"
    return RunDirectory({"path": str(place), "file URL": place.as_uri(), "memory": memory}[request.param])


def plan(run: RunDirectory, num_items: int) -> None:
    run.write_plan(item_to_row(make_item(number), number) for number in range(num_items))


def store(run: RunDirectory, numbers: list[int], shard: str, status: OutcomeStatus = OutcomeStatus.ACCEPTED) -> None:
    outcomes = [make_outcome(number, status=status) for number in numbers]
    rows = [outcome_to_row(outcome, position=0, prompt_set_hash="h", seconds=0.1) for outcome in outcomes]
    run.write_outcomes(rows, shard)


def test_a_plan_is_read_back_by_position_across_row_groups(anywhere: RunDirectory) -> None:
    plan(anywhere, 2 * ROWS_PER_GROUP + 7)
    positions = [0, 5, ROWS_PER_GROUP - 1, ROWS_PER_GROUP, 2 * ROWS_PER_GROUP + 6]
    table = anywhere.read_plan_rows(positions)
    assert table.column("position").to_pylist() == positions
    assert table.column("item_id").to_pylist() == [make_item(number).item_id for number in positions]
    assert anywhere.count_plan() == 2 * ROWS_PER_GROUP + 7


def test_a_plan_that_fails_half_way_leaves_nothing(run: RunDirectory, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        yield item_to_row(make_item(0), 0)
        raise DataError("line 2 is malformed")

    with pytest.raises(DataError):
        run.write_plan(rows())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_unfinished_positions_are_what_has_no_outcome(anywhere: RunDirectory) -> None:
    plan(anywhere, 10)
    store(anywhere, [3, 1], "a")
    store(anywhere, [9], "b")
    assert unfinished_positions(anywhere).tolist() == [0, 2, 4, 5, 6, 7, 8]


def test_an_index_knows_what_is_not_planned(run: RunDirectory) -> None:
    plan(run, 5)
    index = PlanIndex(run)
    assert index.positions([make_item(4).item_id, "f" * 24, make_item(0).item_id, "0" * 24]).tolist() == [4, -1, 0, -1]


def test_outcomes_come_in_the_order_of_the_plan_and_once(anywhere: RunDirectory) -> None:
    plan(anywhere, 40)
    numbers = list(range(40))
    random.Random(3).shuffle(numbers)
    for start in range(0, 40, 7):
        store(anywhere, numbers[start : start + 7], f"shard{start}")
    store(anywhere, [5, 6], "again")
    store(anywhere, [1000], "of-an-earlier-plan")
    rows = list(outcomes_in_plan_order(anywhere, PlanIndex(anywhere)))
    assert [row["item_id"] for row in rows] == [make_item(number).item_id for number in range(40)]


def test_a_summary_counts_by_augmentation_what_is_planned(anywhere: RunDirectory) -> None:
    plan(anywhere, 6)
    store(anywhere, [0, 1, 2], "a")
    store(anywhere, [3, 77], "b", OutcomeStatus.REJECTED)
    summary = summarize(anywhere)
    kind = next(counts for counts in summary.by_augmentation.values() if counts.num_planned)
    assert (kind.num_planned, kind.num_finished, kind.num_accepted, kind.num_rejected) == (6, 4, 3, 1)
    assert kind.reasons == {"wrong_answer": 1}
    assert kind.num_tokens == 4 * 5


def test_an_item_that_stands_twice_counts_once_and_not_as_its_failure(run: RunDirectory) -> None:
    plan(run, 4)
    store(run, [0, 1], "a", OutcomeStatus.FAILED)
    store(run, [0], "b")
    store(run, [1], "c", OutcomeStatus.REJECTED)
    store(run, [1], "d", OutcomeStatus.REJECTED)
    summary = summarize(run)
    assert (summary.num_finished, summary.num_planned) == (2, 4)
    statuses = [row["status"] for row in outcomes_in_plan_order(run, PlanIndex(run))]
    assert statuses == ["accepted", "rejected"]
    assert unfinished_positions(run).tolist() == [2, 3]


def test_a_manifest_gives_itself_back_and_names_differences(anywhere: RunDirectory) -> None:
    manifest = Manifest(content={"seed": 0, "sampling": {"temperature": 0.7}}, configuration={"a": 1})
    anywhere.write_manifest(manifest)
    assert anywhere.read_manifest() == manifest
    assert manifest.differences({"seed": 0, "sampling": {"temperature": 1.0}}) == ["sampling.temperature: 0.7 → 1.0"]
    assert manifest.differences(manifest.content) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"content": {}}'])
def test_a_damaged_manifest_is_named(run: RunDirectory, text: str) -> None:
    run.write_bytes(text.encode(), "manifest.json")
    with pytest.raises(RunDirectoryError, match=r"manifest\.json"):
        run.read_manifest()


def test_no_run_there_is_one_clear_error(anywhere: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match="is this a run directory"):
        anywhere.read_manifest()


def _hold(root: str, held: Event, done: Event) -> None:
    with RunDirectory(root).lock():
        held.set()
        done.wait(30)


def test_two_processes_do_not_write_one_run(run: RunDirectory) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(run.root, held, done))
    other.start()
    assert held.wait(30)
    assert run.is_locked()
    with pytest.raises(RunDirectoryError, match=f"in use by process {other.pid}"), run.lock():
        pass
    done.set()
    other.join(30)
    assert not run.is_locked()
    with run.lock():
        pass


def test_a_place_that_cannot_be_written_is_one_clear_error(run: RunDirectory) -> None:
    run.write_bytes(b"a file where a folder is needed", "outcomes")
    with pytest.raises(RunDirectoryError, match="make room or choose another run_directory"):
        store(run, [0], "a")


def test_a_write_that_fails_keeps_what_was_there_and_leaves_nothing_else(anywhere: RunDirectory) -> None:
    anywhere.write_bytes(b"earlier", "samples.parquet")

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"a": [1]})
        raise DataError("line 2 is malformed")

    with pytest.raises(DataError):
        anywhere.write_batches(batches(), pa.schema([("a", pa.int64())]), "samples.parquet")
    assert anywhere.read_text("samples.parquet") == "earlier"
    filesystem, path = open_location(anywhere.root)
    assert [info.base_name for info in filesystem.get_file_info(fs.FileSelector(path))] == ["samples.parquet"]


def test_what_a_killed_writer_left_is_not_read(anywhere: RunDirectory) -> None:
    plan(anywhere, 3)
    store(anywhere, [0, 1], "a")
    anywhere.write_bytes(b"half of a shard", "outcomes", ".b.parquet.0123abcd.tmp")
    assert anywhere.outcome_shards() == ["a"]
    assert unfinished_positions(anywhere).tolist() == [2]


@pytest.mark.parametrize("share_left", [0.0, 0.5, 0.99])
def test_a_torn_file_of_outcomes_is_named_and_what_to_do(run: RunDirectory, share_left: float) -> None:
    run.write_plan(item_to_row(make_item(number), number) for number in range(3))
    for number in range(3):
        row = outcome_to_row(make_outcome(number), position=number, prompt_set_hash="h", seconds=1.0)
        run.write_outcomes([row], f"shard-{number}")
    torn = Path(run.path("outcomes", "shard-1.parquet"))
    torn.write_bytes(torn.read_bytes()[: int(share_left * torn.stat().st_size)])
    with pytest.raises(
        RunDirectoryError, match=r"shard-1\.parquet: damaged \(.*\); delete it, and its items are done again"
    ):
        unfinished_positions(run)
    torn.unlink()
    assert unfinished_positions(run).tolist() == [1]


def test_files_appear_together_or_not_at_all(anywhere: RunDirectory, tmp_path: Path) -> None:
    files = [tmp_path / "rows", tmp_path / "card"]
    for file in files:
        file.write_text("new")
    for file in files:
        anywhere.write_bytes(b"old", "dataset", file.name)
    with pytest.raises(RunDirectoryError, match="cannot write"):
        anywhere.write_files([tmp_path / "missing", *files], "dataset")
    assert [anywhere.read_text("dataset", file.name) for file in files] == ["old", "old"]
    anywhere.write_files(files, "dataset")
    assert [anywhere.read_text("dataset", file.name) for file in files] == ["new", "new"]


def test_what_is_added_stands_behind_what_was_there(anywhere: RunDirectory) -> None:
    anywhere.append_bytes(b"one\n", "logs", "driver.log")
    anywhere.append_bytes(b"two\n", "logs", "driver.log")
    assert anywhere.read_text("logs", "driver.log") == "one\ntwo\n"


def test_the_latest_outcomes_have_a_time(run: RunDirectory) -> None:
    assert run.last_stored() is None
    before = datetime.now(UTC) - timedelta(seconds=2)
    store(run, [0], "a")
    last = run.last_stored()
    assert last is not None
    assert before <= last <= datetime.now(UTC) + timedelta(seconds=2)


def test_a_file_url_is_the_folder_itself(tmp_path: Path) -> None:
    run = RunDirectory((tmp_path / "my run").as_uri())
    assert run.local_path == tmp_path / "my run"
    with run.lock():
        assert run.is_locked()


def test_the_latest_start_owns_a_run(anywhere: RunDirectory) -> None:
    first = anywhere.claim()
    assert anywhere.is_claimed_by(first)
    second = anywhere.claim()
    assert not anywhere.is_claimed_by(first)
    assert anywhere.is_claimed_by(second)


def test_where_there_is_no_lock_none_is_held(tmp_path: Path) -> None:
    run = RunDirectory(f"fsspec+memory://{tmp_path.name}/run")
    with run.lock(), run.lock():
        assert not run.is_locked()


def test_tables_and_folders_are_listed_without_what_a_killed_writer_left(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    for name in ("b.parquet", "a.parquet"):
        run.write_table(pa.table({"a": [1]}), "units", name)
    run.write_bytes(b"x", "units", ".c.parquet.0123abcd.tmp")
    assert (run.tables("units"), run.tables("nothing")) == (["a.parquet", "b.parquet"], [])
    assert (run.folders(), run.folders("units"), run.folders("nothing")) == (["units"], [], [])


def test_files_and_folders_are_removed_and_nothing_is_no_error(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    for parts in (("folder", "a"), ("folder", "b"), ("kept", "c"), ("file",)):
        run.write_bytes(b"x", *parts)
    for name in ("folder", "file", "nothing"):
        run.remove(name)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "c"]
    assert (run.last_written("file"), run.last_written("kept", "c") is not None) == (None, True)
