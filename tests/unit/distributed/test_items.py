import asyncio
import logging
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from metamath_ray.config import ExecutionConfig
from metamath_ray.distributed.gate import Gate
from metamath_ray.distributed.items import ItemsJob, ItemWorker, completion_tokens
from metamath_ray.distributed.plan_source import PlanSource
from metamath_ray.errors import AccessDenied, MetamathRayError, RunFailed
from metamath_ray.storage import RunDirectory, item_from_row, item_to_row, outcome_to_row, unfinished_positions
from metamath_ray.types import OutcomeStatus
from tests.records import make_item, make_outcome

NUM_ITEMS = 12


class Runner:
    """Accepts every item; raises on some, and is slow on others."""

    def __init__(self, *, fatal_at: int | None = None, slow_at: int | None = None) -> None:
        self.fatal_at = fatal_at
        self.slow_at = slow_at
        self.error: MetamathRayError = RunFailed("the engine gave no answer")
        self.num_open = 0
        self.most_open = 0
        self.ran: list[int] = []
        self.begun = asyncio.Event()

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        number = item_from_row(row).repeat
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        self.begun.set()
        try:
            await asyncio.sleep(30.0 if number == self.slow_at else 0.01)
            if number == self.fatal_at:
                raise self.error
        finally:
            self.num_open -= 1
        self.ran.append(number)
        return outcome_row(number)


def outcome_row(number: int) -> dict[str, Any]:
    return outcome_to_row(make_outcome(number), position=number, prompt_set_hash="h", seconds=0.0)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(str(tmp_path / "run"))
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
    return run


def worker(run: RunDirectory, runner: Runner, **execution: Any) -> ItemWorker:  # noqa: ANN401
    settings = ExecutionConfig(**execution)
    return ItemWorker(ItemsJob(run=run, mark=run.claim(), make_runner=lambda: runner, execution=settings))


def stored_ids(run: RunDirectory) -> list[str]:
    """As often as they are stored."""
    return [item_id for name in run.outcome_shards() for item_id in run.read_shard(name).column("item_id").to_pylist()]


async def test_every_row_of_a_block_gets_one_stored_outcome(run: RunDirectory) -> None:
    counts = (await worker(run, Runner())(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert (counts["num_items"], counts["num_accepted"], counts["fatal"]) == (NUM_ITEMS, NUM_ITEMS, "")
    assert run.finished_ids() == {make_item(number).item_id for number in range(NUM_ITEMS)}


async def test_a_worker_holds_no_more_rows_than_it_may(run: RunDirectory) -> None:
    runner = Runner()
    working = worker(run, runner, rows_in_flight=3)
    await asyncio.gather(working(run.read_plan_rows(range(6))), working(run.read_plan_rows(range(6, 12))))
    assert runner.most_open == 3


async def test_what_has_finished_is_on_disk_while_a_slow_row_runs_on(run: RunDirectory) -> None:
    working = worker(run, Runner(slow_at=5), flush_seconds=0.2)
    block = asyncio.create_task(working(run.read_plan_rows(range(NUM_ITEMS))))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if len(run.finished_ids()) == NUM_ITEMS - 1:
            break
    block.cancel()
    assert len(run.finished_ids()) == NUM_ITEMS - 1


async def test_a_block_that_is_run_again_does_only_what_is_left(run: RunDirectory) -> None:
    first = worker(run, Runner(fatal_at=7))
    await first(run.read_plan_rows(range(NUM_ITEMS)))
    stored = run.finished_ids()
    again = Runner()
    await worker(run, again)(run.read_plan_rows(range(NUM_ITEMS)))
    assert sorted(stored_ids(run)) == sorted(make_item(number).item_id for number in range(NUM_ITEMS))
    assert not {make_item(number).item_id for number in again.ran} & stored


async def test_a_worker_that_gets_a_block_again_does_only_what_is_left(run: RunDirectory) -> None:
    runner = Runner(fatal_at=7)
    working = worker(run, runner)
    await working(run.read_plan_rows(range(NUM_ITEMS)))
    runner.fatal_at = None
    counts = (await working(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert counts["num_items"] == counts["num_accepted"] == NUM_ITEMS  # what the first try stored, nobody counted
    assert counts["num_tokens"] == sum(completion_tokens(outcome_row(number)) for number in range(NUM_ITEMS))
    assert sorted(stored_ids(run)) == sorted(make_item(number).item_id for number in range(NUM_ITEMS))


async def test_a_worker_lists_the_outcomes_once_for_all_its_blocks(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Mock(side_effect=run.outcome_shards)
    working = worker(run, Runner(), rows_in_flight=4)
    with monkeypatch.context() as watched:
        watched.setattr(run, "outcome_shards", listed)
        await asyncio.gather(*(working(run.read_plan_rows(range(at, at + 3))) for at in range(0, NUM_ITEMS, 3)))
    assert len(run.outcome_shards()) >= NUM_ITEMS // 3
    assert listed.call_count == 1


async def test_a_worker_of_a_dead_driver_writes_nothing_any_more(run: RunDirectory) -> None:
    stale = worker(run, Runner())
    run.claim()
    counts = (await stale(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert "another start took this run over" in counts["fatal"]
    assert not run.outcome_shards()


async def test_a_wrong_key_is_the_users_to_fix(run: RunDirectory) -> None:
    runner = Runner(fatal_at=3)
    runner.error = AccessDenied("the key is refused")
    counts = (await worker(run, runner)(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert (counts["fatal"], counts["is_users_fault"]) == ("the key is refused", True)


async def test_a_fatal_row_ends_the_block_and_keeps_what_is_done(run: RunDirectory) -> None:
    counts = (await worker(run, Runner(fatal_at=3, slow_at=8))(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert counts["fatal"] == "the engine gave no answer"
    assert counts["num_items"] == len(run.finished_ids())


class LocalGate:
    """A gate in this process."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.shut = asyncio.Event()

    async def enter(self, block: str) -> bool:
        if not self.shut.is_set():
            self.begun.append(block)
        return block in self.begun

    async def closed(self) -> None:
        await self.shut.wait()


def stoppable(run: RunDirectory, runner: Runner, gate: Gate, **execution: Any) -> ItemWorker:  # noqa: ANN401
    job = ItemsJob(
        run=run, mark=run.claim(), make_runner=lambda: runner, execution=ExecutionConfig(**execution), gate=gate
    )
    return ItemWorker(job)


async def test_behind_a_closed_gate_rows_in_flight_are_stored_and_none_is_begun(run: RunDirectory) -> None:
    gate, runner = LocalGate(), Runner()
    working = stoppable(run, runner, gate, rows_in_flight=3)
    block = asyncio.create_task(working(run.read_plan_rows(range(NUM_ITEMS))))
    await runner.begun.wait()
    gate.shut.set()
    counts = (await block).to_pylist()[0]
    assert (counts["num_items"], counts["fatal"]) == (3, "")
    assert run.finished_ids() == {make_item(number).item_id for number in runner.ran}
    assert sorted(runner.ran) == [0, 1, 2]


async def test_a_block_that_comes_to_a_closed_gate_is_not_begun(run: RunDirectory) -> None:
    gate, runner = LocalGate(), Runner()
    gate.shut.set()
    assert len(await stoppable(run, runner, gate)(run.read_plan_rows(range(NUM_ITEMS)))) == 0
    assert (runner.ran, run.outcome_shards()) == ([], [])


async def test_a_gate_that_is_lost_ends_the_run_instead_of_closing(run: RunDirectory) -> None:
    class Lost(LocalGate):
        async def closed(self) -> None:
            raise RuntimeError("its actor died")

    counts = (await stoppable(run, Runner(), Lost())(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert counts["fatal"] == "unexpected RuntimeError: its actor died"


async def test_what_is_logged_is_ids_and_figures_and_no_text(
    run: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    class Half(Runner):
        async def run(self, row: dict[str, Any]) -> dict[str, Any]:
            outcome = await super().run(row)
            is_odd = item_from_row(row).repeat % 2
            failed = {"status": "failed", "reason": "rejected_request", "error": "cannot answer Ann has 3 pears"}
            return {**outcome, **(failed if is_odd else {})}

    caplog.set_level(logging.DEBUG, logger="metamath_ray")
    await worker(run, Half())(run.read_plan_rows(range(NUM_ITEMS)))
    stored = [vars(record) for record in caplog.records if record.message == "stored"]
    failed = [vars(record) for record in caplog.records if record.message == "item failed"]
    assert {line["run"] for line in stored + failed} == {run.root}
    assert sum(line["num_items"] for line in stored) == NUM_ITEMS
    assert sum(line["num_failed"] for line in stored) == len(failed) == NUM_ITEMS // 2
    assert {line["item"] for line in failed} == {make_item(number).item_id for number in range(1, NUM_ITEMS, 2)}
    assert {line["reason"] for line in failed} == {"rejected_request"}
    assert "pears" not in "".join(str(vars(record)) for record in caplog.records)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk to fill it takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_ends_the_run_with_what_to_do_and_loses_nothing(small_disk: Path) -> None:
    run = RunDirectory(str(small_disk))
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
    working = worker(run, Runner())
    (small_disk / "ballast").write_bytes(b"x" * free_bytes(small_disk))
    counts = (await working(run.read_plan_rows(range(NUM_ITEMS)))).to_pylist()[0]
    assert "No space left on device" in counts["fatal"]
    assert "then resume" in counts["fatal"]
    assert counts["is_users_fault"]
    (small_disk / "ballast").unlink()
    await worker(run, Runner())(run.read_plan_rows(range(NUM_ITEMS)))
    assert len(run.finished_ids()) == NUM_ITEMS


def free_bytes(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def test_read_tasks_cover_what_is_unfinished_and_nothing_else(run: RunDirectory) -> None:
    rows = [outcome_to_row(make_outcome(n), position=n, prompt_set_hash="h", seconds=0.0) for n in (0, 4, 11)]
    run.write_outcomes(rows, "earlier")
    tasks = PlanSource(run, rows_per_block=4).get_read_tasks(1)
    read = [block.column("position").to_pylist() for task in tasks for block in task()]
    assert read == [[1, 2, 3, 5], [6, 7, 8, 9], [10]]


def test_failed_items_are_read_again_on_request(run: RunDirectory) -> None:
    statuses = {0: OutcomeStatus.ACCEPTED, 4: OutcomeStatus.FAILED}
    outcomes = [make_outcome(number, status=status) for number, status in statuses.items()]
    run.write_outcomes([outcome_to_row(o, position=0, prompt_set_hash="h", seconds=0.0) for o in outcomes], "earlier")
    assert unfinished_positions(run).tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert unfinished_positions(run, retry_failed=True).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


async def test_a_worker_that_only_seemed_dead_overwrites_nothing(run: RunDirectory) -> None:
    """Cut off, its block is run again elsewhere, and both store as many items at last, but not the same ones."""
    mark, settings = run.claim(), ExecutionConfig(flush_seconds=0.2)
    blocks = []
    for slow_at in (0, NUM_ITEMS - 1):
        runner = Runner(slow_at=slow_at)
        job = ItemsJob(run=run, mark=mark, make_runner=partial(_same, runner), execution=settings)
        blocks.append(asyncio.create_task(ItemWorker(job)(run.read_plan_rows(range(NUM_ITEMS)))))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if len(run.outcome_shards()) > 1:
            break
    for block in blocks:
        block.cancel()
    assert run.finished_ids() == {make_item(number).item_id for number in range(NUM_ITEMS)}


def _same(runner: Runner) -> Runner:
    return runner
