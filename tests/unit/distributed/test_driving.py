from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest

from metamath_ray.capacity import Budget
from metamath_ray.config import ExecutionConfig
from metamath_ray.distributed import driving
from metamath_ray.distributed.driving import Spending, run_all
from metamath_ray.distributed.items import BlockCounts, ItemsJob, count_outcomes
from metamath_ray.errors import RunFailed
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.tables import SCORE_TABLES
from metamath_ray.types import Completion, FinishReason, Outcome
from tests.records import make_item, make_outcome

NUM_BLOCKS = 10
ITEMS_A_BLOCK = 2
TOKENS_A_BLOCK = 2 * (30 + 70)


def outcome(number: int) -> Outcome:
    solution = Completion(
        text="t", finish_reason=FinishReason.STOP, num_prompt_tokens=30, num_completion_tokens=70, seed=0, model="m"
    )
    return replace(make_outcome(number), rewrite=None, solution=solution)


class Script:
    """Stands in for `run_items`: stores a block of outcomes each time that it is asked for one, until it is over."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.num_pulled = 0
        self.is_closed = False
        self.fatal = ""

    def __call__(self, job: ItemsJob, *, is_over: Callable[[], bool] | None) -> Generator[BlockCounts, None, None]:
        del job
        try:
            for block in range(len(self.run.outcome_shards()), NUM_BLOCKS):
                self.num_pulled += 1
                first = block * ITEMS_A_BLOCK
                rows = [
                    outcome_to_row(outcome(number), position=number, prompt_set_hash="h", seconds=0.0)
                    for number in range(first, first + ITEMS_A_BLOCK)
                ]
                self.run.write_outcomes(rows, f"{block:04d}")
                yield replace(count_outcomes(rows), fatal=self.fatal)
                if is_over and is_over():
                    return
        finally:
            self.is_closed = True


class Watcher:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown: list[int] = []

    def stage(self, name: str) -> None:
        del name

    def notice(self, line: str) -> None:
        self.said.append(line)

    def progress(self, counts: BlockCounts, total: int) -> None:
        assert total == NUM_BLOCKS * ITEMS_A_BLOCK
        self.shown.append(counts.num_items)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(str(tmp_path / "run"))
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_BLOCKS * ITEMS_A_BLOCK))
    return run


@pytest.fixture
def script(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Script:
    scripted = Script(run)
    monkeypatch.setattr(driving, "run_items", scripted)
    return scripted


def budget(
    *, tokens: int | None = None, money: float | None = None, per_million: float | None = None, per_hour: float = 0.0
) -> Budget:
    return Budget(tokens=tokens, money=money, price_per_million_tokens=per_million, price_per_hour=per_hour)


def drive(run: RunDirectory, limits: Budget | None) -> tuple[Watcher, list[BlockCounts]]:
    watcher, recorded = Watcher(), []
    job = ItemsJob(run=run, mark="m", make_runner=lambda: None, execution=ExecutionConfig())  # type: ignore[arg-type,return-value]
    run_all(
        job,
        earlier=BlockCounts(num_items=len(run.finished_ids())),
        observer=watcher,
        record=lambda counts, _: recorded.append(counts),
        spending=Spending(limits, [run]) if limits else None,
    )
    return watcher, recorded


def test_without_a_budget_everything_is_run(run: RunDirectory, script: Script) -> None:
    watcher, recorded = drive(run, None)
    assert (script.num_pulled, watcher.said, watcher.shown[-1]) == (NUM_BLOCKS, [], 20)
    assert [counts.num_items for counts in recorded] == [20]


def test_a_budget_that_is_not_reached_changes_nothing(run: RunDirectory, script: Script) -> None:
    watcher, _ = drive(run, budget(tokens=NUM_BLOCKS * TOKENS_A_BLOCK + 1))
    assert (script.num_pulled, watcher.said) == (NUM_BLOCKS, [])


@pytest.mark.parametrize(("tokens", "num_blocks"), [(1, 1), (200, 1), (201, 2), (599, 3), (600, 3)])
def test_nothing_more_is_pulled_once_the_tokens_are_spent(
    run: RunDirectory, script: Script, tokens: int, num_blocks: int
) -> None:
    watcher, recorded = drive(run, budget(tokens=tokens))
    assert (script.num_pulled, script.is_closed) == (num_blocks, True)
    assert watcher.said == [
        f"budget reached: {num_blocks * TOKENS_A_BLOCK:,} of {tokens:,} tokens; "
        "the same command with a larger budget resumes"
    ]
    assert [counts.num_items for counts in recorded] == [num_blocks * ITEMS_A_BLOCK]


def test_prompts_cost_as_completions_do(run: RunDirectory, script: Script) -> None:
    watcher, _ = drive(run, budget(money=0.0005, per_million=1.0))
    assert script.num_pulled == 3
    assert watcher.said[0].startswith("budget reached: 0.0006 of 0.0005 in money")


def test_what_earlier_starts_spent_counts_and_a_larger_budget_resumes(run: RunDirectory, script: Script) -> None:
    drive(run, budget(tokens=400))
    watcher, _ = drive(run, budget(tokens=1000))
    assert (script.num_pulled, watcher.shown) == (5, [4, 6, 8, 10])
    watcher, _ = drive(run, None)
    assert (script.num_pulled, watcher.shown[-1]) == (NUM_BLOCKS, 20)
    assert len(run.finished_ids()) == 20


def test_the_same_budget_again_starts_nothing(run: RunDirectory, script: Script) -> None:
    drive(run, budget(tokens=400))
    watcher, recorded = drive(run, budget(tokens=400))
    assert (script.num_pulled, recorded) == (2, [])
    assert watcher.said[0].startswith("budget reached: 400 of 400 tokens")


def test_hours_of_earlier_starts_count(run: RunDirectory, script: Script) -> None:
    manifest = Manifest(content={}, configuration={})
    manifest.stages["bootstrap"] = {"seconds": 7200.0}
    run.write_manifest(manifest)
    watcher, _ = drive(run, budget(money=20, per_hour=10.0))
    assert (script.num_pulled, len(watcher.said)) == (0, 1)


def test_the_budget_that_was_reached_hides_no_failure(run: RunDirectory, script: Script) -> None:
    script.fatal = "the engine gave no answer"
    with pytest.raises(RunFailed, match="the engine gave no answer"):
        drive(run, budget(tokens=1))


def test_scores_and_several_folders_share_one_budget(run: RunDirectory, script: Script) -> None:
    drive(run, budget(tokens=200))
    scores = RunDirectory(run.path("scores", "verifier"), SCORE_TABLES)
    scored = {"item_id": "a", "status": "accepted", "score": 0.5, "num_prompt_tokens": 50, "error": ""}
    scores.write_outcomes([scored], "0000")
    assert Spending(budget(tokens=250), [run]).reached() == ""
    assert Spending(budget(tokens=250), [run, scores]).reached() == "250 of 250 tokens"


def test_hours_of_scoring_count_with_those_of_drawing(run: RunDirectory) -> None:
    scores = RunDirectory(run.path("scores", "verifier"), SCORE_TABLES)
    for part, hours in ((run, 1.0), (scores, 2.0)):
        manifest = Manifest(content={}, configuration={})
        manifest.stages["any"] = {"seconds": 3600 * hours}
        part.write_manifest(manifest)
    assert Spending(budget(money=30, per_hour=10.0), [run, scores]).reached()
    assert not Spending(budget(money=31, per_hour=10.0), [run, scores]).reached()


def test_items_that_failed_and_were_run_again_are_paid_for_twice(run: RunDirectory, script: Script) -> None:
    drive(run, budget(tokens=200))
    again = [outcome_to_row(outcome(0), position=0, prompt_set_hash="h", seconds=0.0)]
    run.write_outcomes(again, "again")
    assert "300 of 300" in Spending(budget(tokens=300), [run]).reached()
