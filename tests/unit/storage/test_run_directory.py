import multiprocessing
import random
from collections.abc import Iterator
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

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
from metamath_ray.storage.run_directory import ROWS_PER_GROUP
from metamath_ray.types import OutcomeStatus
from tests.records import make_item, make_outcome


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(str(tmp_path / "run"))


def plan(run: RunDirectory, num_items: int) -> None:
    run.write_plan(item_to_row(make_item(number), number) for number in range(num_items))


def store(run: RunDirectory, numbers: list[int], shard: str, status: OutcomeStatus = OutcomeStatus.ACCEPTED) -> None:
    outcomes = [make_outcome(number, status=status) for number in numbers]
    rows = [outcome_to_row(outcome, position=0, prompt_set_hash="h", seconds=0.1) for outcome in outcomes]
    run.write_outcomes(rows, shard)


def test_a_plan_is_read_back_by_position_across_row_groups(run: RunDirectory) -> None:
    plan(run, 2 * ROWS_PER_GROUP + 7)
    positions = [0, 5, ROWS_PER_GROUP - 1, ROWS_PER_GROUP, 2 * ROWS_PER_GROUP + 6]
    table = run.read_plan_rows(positions)
    assert table.column("position").to_pylist() == positions
    assert table.column("item_id").to_pylist() == [make_item(number).item_id for number in positions]
    assert run.count_plan() == 2 * ROWS_PER_GROUP + 7


def test_a_plan_that_fails_half_way_leaves_nothing(run: RunDirectory, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        yield item_to_row(make_item(0), 0)
        raise DataError("line 2 is malformed")

    with pytest.raises(DataError):
        run.write_plan(rows())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_unfinished_positions_are_what_has_no_outcome(run: RunDirectory) -> None:
    plan(run, 10)
    store(run, [3, 1], "a")
    store(run, [9], "b")
    assert unfinished_positions(run).tolist() == [0, 2, 4, 5, 6, 7, 8]


def test_an_index_knows_what_is_not_planned(run: RunDirectory) -> None:
    plan(run, 5)
    index = PlanIndex(run)
    assert index.positions([make_item(4).item_id, "f" * 24, make_item(0).item_id, "0" * 24]).tolist() == [4, -1, 0, -1]


def test_outcomes_come_in_the_order_of_the_plan_and_once(run: RunDirectory) -> None:
    plan(run, 40)
    numbers = list(range(40))
    random.Random(3).shuffle(numbers)
    for start in range(0, 40, 7):
        store(run, numbers[start : start + 7], f"shard{start}")
    store(run, [5, 6], "again")
    store(run, [1000], "of-an-earlier-plan")
    rows = list(outcomes_in_plan_order(run, PlanIndex(run)))
    assert [row["item_id"] for row in rows] == [make_item(number).item_id for number in range(40)]


def test_a_summary_counts_by_augmentation_what_is_planned(run: RunDirectory) -> None:
    plan(run, 6)
    store(run, [0, 1, 2], "a")
    store(run, [3, 77], "b", OutcomeStatus.REJECTED)
    summary = summarize(run)
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


def test_a_manifest_gives_itself_back_and_names_differences(run: RunDirectory) -> None:
    manifest = Manifest(content={"seed": 0, "sampling": {"temperature": 0.7}}, configuration={"a": 1})
    run.write_manifest(manifest)
    assert run.read_manifest() == manifest
    assert manifest.differences({"seed": 0, "sampling": {"temperature": 1.0}}) == ["sampling.temperature: 0.7 → 1.0"]
    assert manifest.differences(manifest.content) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"content": {}}'])
def test_a_damaged_manifest_is_named(run: RunDirectory, text: str) -> None:
    run.write_bytes(text.encode(), "manifest.json")
    with pytest.raises(RunDirectoryError, match=r"manifest\.json"):
        run.read_manifest()


def test_no_run_there_is_one_clear_error(run: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match="is this a run directory"):
        run.read_manifest()


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
