import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from metamath_ray.config import FinetuneConfig
from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.tables import SCORE_TABLES
from metamath_ray.terminal_status import show_status
from metamath_ray.training.report import METRICS_FILE
from tests.records import make_item, make_outcome
from tests.unit.loop.loops import Commands, loop_config

NUM_ITEMS = 4


def shown(run_directory: Path) -> str:
    console = Console(highlight=False, width=160)
    with console.capture() as capture:
        show_status(str(run_directory), console)
    return capture.get()


def fill(folder: Path, *, num_done: int, manifest: Manifest | None = None) -> RunDirectory:
    run = RunDirectory(str(folder))
    run.write_manifest(manifest or Manifest(content={}, configuration={"export": {}}))
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
    rows = [
        outcome_to_row(make_outcome(number), position=number, prompt_set_hash="h", seconds=0.1)
        for number in range(num_done)
    ]
    if rows:
        run.write_outcomes(rows, "shard")
    return run


@pytest.mark.parametrize(("num_done", "state"), [(0, "stopped"), (3, "stopped"), (NUM_ITEMS, "complete")])
def test_a_bootstrap_says_how_many_items_are_done(tmp_path: Path, num_done: int, state: str) -> None:
    fill(tmp_path, num_done=num_done)
    assert f"{state}: {num_done} of 4 items; outcomes: {tmp_path}/outcomes" in shown(tmp_path)


def test_a_run_that_is_held_is_running(tmp_path: Path) -> None:
    with fill(tmp_path, num_done=1).lock():
        assert "running: 1 of 4 items" in shown(tmp_path)


def test_a_budget_that_was_reached_is_told(tmp_path: Path) -> None:
    manifest = Manifest(content={}, configuration={})
    manifest.note_budget("200 of 200 tokens")
    fill(tmp_path, num_done=2, manifest=manifest)
    assert "stopped, budget reached (200 of 200 tokens): 2 of 4 items" in shown(tmp_path)


def test_a_sampling_tells_of_greedy_solutions_and_scores_and_is_done_with_them(tmp_path: Path) -> None:
    run = fill(tmp_path, num_done=NUM_ITEMS)
    fill(tmp_path / "greedy", num_done=NUM_ITEMS)
    scores = RunDirectory(run.path("scores", "abc"), SCORE_TABLES)
    scores.write_plan({"item_id": f"{n}", "position": n, "question": "q", "solution": "s"} for n in range(2))
    scored = {"status": "accepted", "score": 0.5, "num_prompt_tokens": 5, "error": ""}
    scores.write_outcomes([{"item_id": "0", **scored}], "first")
    assert "stopped: 4 of 4 items; greedy: 4 of 4; scores/abc: 1 of 2; outcomes" in shown(tmp_path)
    scores.write_outcomes([{"item_id": "1", **scored}], "second")
    assert "complete: 4 of 4 items; greedy: 4 of 4; scores/abc: 2 of 2; outcomes" in shown(tmp_path)


@pytest.fixture
def tuned(tmp_path: Path) -> RunDirectory:
    """A fine-tuning of three stages: one done, one training, one not begun."""
    run = RunDirectory(str(tmp_path))
    stage = {"solutions": {"problems": {"format": "word_problems"}}}
    config = FinetuneConfig.model_validate({"stages": dict.fromkeys(("first", "second", "third"), stage)})
    manifest = Manifest(content={}, configuration=config.model_dump(mode="json"))
    manifest.stages = {"start": {}, "first": {"ended": "2026-01-01"}}
    run.write_manifest(manifest)
    for name, step in (("first", 9), ("second", 4)):
        lines = [json.dumps(figures(one)) for one in range(1, step + 1)]
        run.write_bytes(("\n".join(lines) + '\n{"step": 5, "num_').encode(), name, METRICS_FILE)
    return run


def figures(step: int) -> dict[str, Any]:
    return {"step": step, "num_steps": 9, "loss": 2.0 / step, "tokens_per_second": 1234.5}


def test_a_fine_tuning_says_where_each_stage_is(tuned: RunDirectory) -> None:
    said = shown(Path(tuned.root))
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()[2:5]}
    assert rows == {
        "first": ["done", "9/9", "0.222", "1,234"],
        "second": ["training", "4/9", "0.500", "1,234"],
        "third": ["not", "trained", "yet", "–", "–", "–"],
    }
    assert f"stopped: 1 of 3 stages; models: {tuned.root}" in said


def test_a_loop_says_what_became_of_its_steps_and_how_far_the_open_one_is(tmp_path: Path) -> None:
    commands = Commands()
    commands.budgets = {"test": "10 of 10 tokens"}
    commands.loop(loop_config(tmp_path))
    folder = tmp_path / "loop"
    manifest = RunDirectory(str(folder / "test")).read_manifest()
    fill(folder / "test", num_done=3, manifest=manifest)
    said = shown(folder)
    for row in ("bootstrap bootstrap done", "generator finetune done", "test sample budget reached"):
        assert row in " ".join(said.split())
    assert "stopped, budget reached (10 of 10 tokens): 3 of 4 items" in said
    with RunDirectory(str(folder)).lock():
        assert "test sample running" in " ".join(shown(folder).split())


def test_a_loop_that_has_not_come_so_far_says_what_would_run(tmp_path: Path) -> None:
    commands = Commands()
    commands.fails = {"generator": 1}
    commands.loop(loop_config(tmp_path))
    said = " ".join(shown(tmp_path / "loop").split())
    assert "generator finetune would resume" in said
    assert "test sample would run" in said


def test_a_damaged_configuration_of_a_loop_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").write_text("rounds: 0\nsteps: {a: {command: dance}}\n", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"loop.yaml: damaged \(.*rounds") as refused:
        shown(tmp_path)
    assert "\n" not in str(refused.value)


def test_what_is_no_run_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="is this a run directory"):
        shown(tmp_path)
