import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from metamath_ray.arguments import parse_arguments
from metamath_ray.config.loop import COMMANDS, LoopConfig, parse_settings
from metamath_ray.errors import ConfigError, RunDirectoryError
from metamath_ray.loop import loop_table
from metamath_ray.loop.steps import unfold
from metamath_ray.storage import RunDirectory
from tests.unit.loop.loops import (
    JUDGED,
    PREVIOUS,
    STEPS,
    Commands,
    everything,
    loop_config,
    record,
    states,
    with_step,
)

ALL = list(STEPS)
SAMPLE_SEED: dict[str, Any] = with_step("test", seed=7)


def test_steps_run_in_order_each_with_its_own_configuration(tmp_path: Path, commands: Commands) -> None:
    report = commands.loop(loop_config(tmp_path))
    assert commands.ran == ALL
    assert states(report) == dict.fromkeys(ALL, "done")
    assert (report.exit_code, report.failure) == (0, "")
    folder = tmp_path / "loop"
    assert [settings["run_directory"] for settings in commands.settings] == [
        str(folder / name) for name in ("bootstrap", "bootstrap", "generator", "test")
    ]
    assert commands.settings[3]["engine"]["model"] == str(folder / "generator/generator/model")


@pytest.mark.parametrize("label", ALL)
def test_a_step_file_is_what_its_command_takes(label: str, tmp_path: Path, commands: Commands) -> None:
    config = loop_config(tmp_path)
    commands.loop(config)
    program, name, option, file = record(config, label).command.split()
    assert (program, name, option) == ("metamath-ray", STEPS[label]["command"], "--config")
    form = COMMANDS[config.steps[label].command]
    parsed = parse_arguments(form.config_class, [option, file], program=name)
    assert parsed == parse_settings(config.steps[label].command, unfold(config)[label].resolved())


def test_nothing_runs_twice(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    report = commands.loop(loop_config(tmp_path))
    assert commands.ran == []
    assert states(report) == dict.fromkeys(ALL, "skipped")
    assert commands.told == [f"{name}: skipped" for name in ALL]


@pytest.mark.parametrize(
    ("name", "change", "ran"),
    [
        ("bootstrap", {"seed": 1}, ALL),
        ("dataset", {"export": {"backward_check": True}}, ["dataset", "generator", "test"]),
        ("generator", {"seed": 1}, ["generator", "test"]),
        ("test", {"num_samples": 3}, ["test"]),
        ("test", {"execution": {"batch_size": 3}}, []),
    ],
)
def test_a_change_runs_its_step_and_all_that_is_made_from_it(
    name: str, change: dict[str, Any], ran: list[str], tmp_path: Path, commands: Commands
) -> None:
    commands.loop(loop_config(tmp_path))
    commands.loop(loop_config(tmp_path, steps=with_step(name, **change)))
    assert commands.ran == ran


def test_a_changed_bootstrap_is_forked_and_stays_where_it_is(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    assert "fork" not in commands.settings[0]
    commands.loop(loop_config(tmp_path, steps=with_step("bootstrap", seed=1)))
    assert commands.settings[0]["fork"] is True
    assert not (tmp_path / "loop/superseded/bootstrap").exists()
    assert any(line.startswith("bootstrap: changed (seed: 0 → 1)") for line in commands.told)


def test_a_fork_that_was_interrupted_is_forked_again(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    commands.fails = {"bootstrap": 1}
    commands.loop(loop_config(tmp_path, steps=with_step("bootstrap", seed=1)))
    commands.fails = {}
    commands.loop(loop_config(tmp_path, steps=with_step("bootstrap", seed=1)))
    assert commands.ran == ALL
    assert commands.settings[0]["fork"] is True


@pytest.mark.parametrize(("name", "steps"), [("generator", with_step("generator", seed=7)), ("test", SAMPLE_SEED)])
def test_what_cannot_grow_is_moved_aside_whole(
    name: str, steps: dict[str, Any], tmp_path: Path, commands: Commands
) -> None:
    config = loop_config(tmp_path)
    commands.loop(config)
    before, old_hash = everything(tmp_path / "loop" / name), record(config, name).input_hash
    commands.loop(loop_config(tmp_path, steps=steps))
    aside = tmp_path / "loop/superseded" / f"{name}-{old_hash[:8]}"
    assert everything(aside) == before
    assert f"{name}: changed (seed: 0 → 7); the old folder is now {aside}" in commands.told


@pytest.mark.parametrize(("name", "left"), [("bootstrap", ALL[1:]), ("test", [])])
def test_a_step_that_ends_at_its_budget_ends_the_loop(
    name: str, left: list[str], tmp_path: Path, commands: Commands
) -> None:
    commands.budgets = {name: "10 of 10 tokens"}
    report = commands.loop(loop_config(tmp_path, steps=with_step(name, budget={"tokens": 10})))
    assert commands.ran == ALL[: ALL.index(name) + 1]
    assert (report.exit_code, report.failure, states(report)[name]) == (0, "", "budget reached")
    assert {states(report)[other] for other in left} <= {"would run"}
    assert commands.told[-1] == (
        f"{name}: budget reached (10 of 10 tokens), so no later step is run; the same command with a larger "
        f"steps.{name}.budget goes on"
    )


@pytest.mark.parametrize("name", ["bootstrap", "test"])
def test_a_larger_budget_goes_on_in_the_same_folder(name: str, tmp_path: Path, commands: Commands) -> None:
    commands.budgets = {name: "10 of 10 tokens"}
    commands.loop(loop_config(tmp_path, steps=with_step(name, budget={"tokens": 10})))
    commands.budgets = {}
    config = loop_config(tmp_path, steps=with_step(name, budget={"tokens": 20}, price_per_million_tokens=1.0))
    report = commands.loop(config)
    assert commands.ran == ALL[ALL.index(name) :]
    assert commands.settings[0]["budget"] == {"tokens": 20}
    assert set(states(report).values()) <= {"skipped", "done"}
    assert not (tmp_path / "loop/superseded").exists()
    assert not any("changed" in line for line in commands.told)
    commands.loop(config)
    assert commands.ran == []


def test_what_was_moved_aside_is_never_overwritten(tmp_path: Path, commands: Commands) -> None:
    for seed in (None, 7, None, 7, None):
        commands.loop(loop_config(tmp_path, steps=with_step("test", seed=seed) if seed else STEPS))
    assert len(list((tmp_path / "loop/superseded").iterdir())) == 4


def test_more_samples_join_those_that_there_are(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    kept = tmp_path / "loop/test/kept"
    kept.touch()
    commands.loop(loop_config(tmp_path, steps=with_step("test", num_samples=64)))
    assert commands.ran == ["test"]
    assert kept.exists()
    assert not (tmp_path / "loop/superseded").exists()


def test_a_step_of_another_command_begins_in_a_new_folder(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    old_hash = record(loop_config(tmp_path), "test").input_hash
    commands.loop(loop_config(tmp_path, steps={**STEPS, "test": STEPS["bootstrap"]}))
    assert commands.ran == ["test"]
    assert (tmp_path / "loop/superseded" / f"test-{old_hash[:8]}" / "samples.parquet").exists()


def test_an_evaluation_writes_over_its_own_files(tmp_path: Path, commands: Commands) -> None:
    evaluation = {"command": "evaluate", "models": {"one": {"path": "@test"}}}
    commands.loop(loop_config(tmp_path, steps={**STEPS, "evaluation": evaluation}))
    assert commands.settings[-1]["output"] == str(tmp_path / "loop/evaluation")
    commands.loop(loop_config(tmp_path, steps={**STEPS, "evaluation": {**evaluation, "seed": 1}}))
    assert commands.ran == ["evaluation"]
    assert not (tmp_path / "loop/superseded").exists()


def test_a_step_in_use_is_not_moved(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    with (
        RunDirectory(str(tmp_path / "loop/generator")).lock(),
        pytest.raises(RunDirectoryError, match="in use by another process"),
    ):
        commands.loop(loop_config(tmp_path, steps=with_step("generator", seed=1)))
    assert (tmp_path / "loop/generator/manifest.json").exists()


@pytest.mark.parametrize(("gone", "ran"), [("test", ["test"]), ("bootstrap", ["bootstrap", "dataset"])])
def test_a_step_whose_folder_is_gone_runs_again(gone: str, ran: list[str], tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    shutil.rmtree(tmp_path / "loop" / gone)
    commands.loop(loop_config(tmp_path))
    assert commands.ran == ran


@pytest.mark.parametrize("code", [1, 2, 130, 143])
def test_a_failing_step_ends_the_loop_with_its_code(code: int, tmp_path: Path, commands: Commands) -> None:
    commands.fails = {"generator": code}
    report = commands.loop(loop_config(tmp_path))
    assert commands.ran == ["bootstrap", "dataset", "generator"]
    assert report.exit_code == code
    assert "\n" not in report.failure
    assert report.failure.startswith("the step generator ")
    assert f"`metamath-ray loop --config {tmp_path}/loop/loop.yaml` resumes" in report.failure
    assert ("put it right" in report.failure) is (code == 2)
    assert states(report) == {
        "bootstrap": "done",
        "dataset": "done",
        "generator": "failed",
        "test": "would run",
    }


def test_an_interrupted_step_is_run_again_in_its_folder(tmp_path: Path, commands: Commands) -> None:
    commands.fails = {"generator": 130}
    commands.loop(loop_config(tmp_path))
    first = replace(record(loop_config(tmp_path), "generator"), seconds=100.0)
    first.write(RunDirectory(str(tmp_path / "loop")), "generator")
    commands.fails = {}
    assert states(commands.loop(loop_config(tmp_path), dry_run=True))["generator"] == "would resume"
    commands.loop(loop_config(tmp_path))
    assert commands.ran == ["generator", "test"]
    assert not (tmp_path / "loop/superseded").exists()
    assert record(loop_config(tmp_path), "generator").seconds >= 100


def test_a_step_that_was_killed_with_its_loop_is_run_again(tmp_path: Path, commands: Commands) -> None:
    class Killed(BaseException):
        pass

    def die(_: object) -> int:
        raise Killed

    config = loop_config(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "run_step", die)
        with pytest.raises(Killed):
            commands.loop(config)
    assert record(config, "bootstrap").ended is None
    commands.loop(config)
    assert commands.ran == ALL


def test_the_configuration_that_is_kept_resumes(tmp_path: Path, commands: Commands) -> None:
    commands.fails = {"generator": 1}
    commands.loop(loop_config(tmp_path, rounds=1, later_rounds=PREVIOUS))
    kept = LoopConfig.model_validate(yaml.safe_load((tmp_path / "loop/loop.yaml").read_text("utf-8")))
    commands.fails = {}
    commands.loop(kept)
    assert commands.ran == ["generator", "test"]


def test_a_dry_run_touches_nothing_and_says_what_changed(tmp_path: Path, commands: Commands) -> None:
    report = commands.loop(loop_config(tmp_path), dry_run=True)
    assert states(report) == dict.fromkeys(ALL, "would run")
    assert not (tmp_path / "loop").exists()
    commands.loop(loop_config(tmp_path))
    before = everything(tmp_path)
    report = commands.loop(loop_config(tmp_path, steps=with_step("generator", seed=1)), dry_run=True)
    assert commands.ran == []
    assert everything(tmp_path) == before
    assert states(report) == {
        "bootstrap": "skipped",
        "dataset": "skipped",
        "generator": "changed",
        "test": "changed",
    }
    assert "generator: changed (seed: 0 → 1)" in commands.told


def test_only_some_steps_run_when_asked(tmp_path: Path, commands: Commands) -> None:
    report = commands.loop(loop_config(tmp_path), only=["bootstrap", "dataset"])
    assert commands.ran == ["bootstrap", "dataset"]
    assert states(report)["generator"] == "left out"
    commands.loop(loop_config(tmp_path), start="generator")
    assert commands.ran == ["generator", "test"]


def test_a_step_is_not_made_from_what_is_missing(tmp_path: Path, commands: Commands) -> None:
    with pytest.raises(ConfigError, match="test is made from generator, which has not ended well"):
        commands.loop(loop_config(tmp_path), only=["test"])
    assert not (tmp_path / "loop").exists()


def test_a_step_says_that_it_was_made_from_what_was_there(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    changed = loop_config(tmp_path, steps={**with_step("generator", seed=1), "test": SAMPLE_SEED["test"]})
    there = record(changed, "generator").input_hash
    commands.loop(changed, only=["test"])
    assert record(changed, "test").made_from == {"generator": there}
    commands.loop(changed)
    assert commands.ran == ["generator", "test"]
    assert record(changed, "test").made_from == {"generator": record(changed, "generator").input_hash}


@pytest.mark.parametrize("options", [{"only": ["verifier"]}, {"start": "verifier"}])
def test_a_step_that_there_is_not_cannot_be_asked_for(
    options: dict[str, Any], tmp_path: Path, commands: Commands
) -> None:
    with pytest.raises(ConfigError, match="no step 'verifier'; there are bootstrap, dataset, generator, test"):
        commands.loop(loop_config(tmp_path), **options)


def test_rounds_follow_each_other_and_more_may_join(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path, rounds=2, later_rounds=PREVIOUS))
    assert commands.ran == [f"round_{number}/{name}" for number in (1, 2) for name in ALL]
    commands.loop(loop_config(tmp_path, rounds=3, later_rounds=PREVIOUS))
    assert commands.ran == [f"round_3/{name}" for name in ALL]
    model = str(tmp_path / "loop/round_2/generator/generator/model")
    assert commands.settings[0]["engine"]["model"] == model


def test_a_round_that_joins_learns_from_all_and_leaves_the_earlier_as_they_are(
    tmp_path: Path, commands: Commands
) -> None:
    commands.loop(loop_config(tmp_path, steps=JUDGED, rounds=2))
    config = loop_config(tmp_path, steps=JUDGED, rounds=3)
    commands.loop(config)
    assert commands.ran == [f"round_3/{name}" for name in JUDGED]
    assert commands.settings[-1]["stages"]["verifier"]["samples"]["path"] == [
        str(tmp_path / f"loop/round_{number}/test/samples.parquet") for number in (1, 2, 3)
    ]
    made_from = record(config, "round_3/verifier").made_from
    assert list(made_from) == [f"round_{number}/test" for number in (1, 2, 3)]


def test_a_round_made_again_is_learned_from_again_in_every_later_round(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path, steps=JUDGED, rounds=2))
    changed = {**JUDGED, "test": {**JUDGED["test"], "seed": 7}}
    commands.loop(loop_config(tmp_path, steps=changed, rounds=2, later_rounds={"test": {"seed": 0}}))
    assert commands.ran == ["round_1/test", "round_1/verifier", "round_2/verifier"]


def test_a_change_of_later_rounds_leaves_the_first_as_it_is(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path, rounds=2))
    commands.loop(loop_config(tmp_path, rounds=2, later_rounds=PREVIOUS))
    assert commands.ran == [f"round_2/{name}" for name in ALL]


def test_one_round_of_several_can_be_asked_for(tmp_path: Path, commands: Commands) -> None:
    config = loop_config(tmp_path, rounds=2, later_rounds=PREVIOUS)
    commands.loop(config)
    shutil.rmtree(tmp_path / "loop/round_1/test")
    shutil.rmtree(tmp_path / "loop/round_2/test")
    commands.loop(config, only=["round_2/test"])
    assert commands.ran == ["round_2/test"]
    commands.loop(config, start="round_2/bootstrap")
    assert commands.ran == []
    commands.loop(config, only=["test"])
    assert commands.ran == ["round_1/test"]


def test_a_moved_loop_is_still_done(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    (tmp_path / "loop").rename(tmp_path / "elsewhere")
    commands.loop(loop_config(tmp_path, run_directory=str(tmp_path / "elsewhere")))
    assert commands.ran == []


def test_what_was_interrupted_before_a_move_begins_anew(tmp_path: Path, commands: Commands) -> None:
    commands.fails = {"generator": 1}
    commands.loop(loop_config(tmp_path))
    commands.fails = {}
    (tmp_path / "loop").rename(tmp_path / "elsewhere")
    commands.loop(loop_config(tmp_path, run_directory=str(tmp_path / "elsewhere")))
    assert commands.ran == ["generator", "test"]
    assert list((tmp_path / "elsewhere/superseded").iterdir())


def test_a_folder_that_another_loop_holds_is_refused(tmp_path: Path, commands: Commands) -> None:
    config = loop_config(tmp_path)
    with RunDirectory(config.run_directory).lock(), pytest.raises(RunDirectoryError, match="in use"):
        commands.loop(config)
    assert commands.ran == []


def test_a_damaged_record_is_one_line_that_says_what_to_do(tmp_path: Path, commands: Commands) -> None:
    commands.loop(loop_config(tmp_path))
    (tmp_path / "loop/steps/test.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"damaged .*delete it, and the step runs again"):
        commands.loop(loop_config(tmp_path))


def test_no_secret_is_written_down(tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    engine = {"kind": "openai", "base_url": "https://example.org/v1", "model": "m"}
    commands.loop(loop_config(tmp_path, steps=with_step("bootstrap", engine=engine)))
    assert os.environ["OPENAI_API_KEY"] == "s3cret"
    assert not [name for name, content in everything(tmp_path).items() if b"s3cret" in content]


def test_a_record_says_what_was_made_from_what(tmp_path: Path, commands: Commands) -> None:
    config = loop_config(tmp_path)
    commands.loop(config)
    kept = json.loads((tmp_path / "loop/steps/generator.json").read_text("utf-8"))
    assert kept["from"] == {name: record(config, name).input_hash for name in ("bootstrap", "dataset")}
    assert kept["made"] == str(tmp_path / "loop/generator")
    assert kept["ended"]
    assert kept["command"] == f"metamath-ray finetune --config {tmp_path}/loop/steps/generator.yaml"


def test_the_table_has_a_row_a_step(tmp_path: Path, commands: Commands) -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(loop_table(commands.loop(loop_config(tmp_path), only=["bootstrap"])))
    lines = [line.split() for line in capture.get().splitlines()]
    assert lines[2][:3] == ["bootstrap", "bootstrap", "done"]
    assert lines[4] == ["generator", "finetune", "left", "out", "–", "bootstrap,", "dataset"]
