import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metamath_ray.errors import ConfigError
from metamath_ray.training.progress import MetricsWriter, require_tracker
from metamath_ray.training.report import METRICS_FILE
from metamath_ray.training.steps import StepResult


def result_of(step: int, grad_norm: float | None = 1.5) -> StepResult:
    return StepResult(
        loss=1.0 / step, solution=0.5 / step, pairwise=0.25, pointwise=0.25, grad_norm=grad_norm, num_tokens=100
    )


def train(folder: Path, *, start: int, end: int, grad_norm: float | None = 1.5, trackers: tuple[str, ...] = ()) -> None:
    with MetricsWriter(folder, start=start, num_steps=9, trackers=trackers) as metrics:
        for step in range(start + 1, end + 1):
            metrics.write(step, result_of(step, grad_norm), rate=1e-3, seconds=0.5)


def steps_in(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / METRICS_FILE).read_text("utf-8").splitlines()]


def test_a_line_says_everything_about_its_step(tmp_path: Path) -> None:
    train(tmp_path, start=0, end=1)
    assert json.loads((tmp_path / METRICS_FILE).read_text("utf-8")) == {
        "step": 1,
        "num_steps": 9,
        "loss": 1.0,
        "solution": 0.5,
        "pairwise": 0.25,
        "pointwise": 0.25,
        "grad_norm": 1.5,
        "num_tokens": 100,
        "learning_rate": 1e-3,
        "seconds": 0.5,
        "tokens_per_second": 200.0,
        "mfu": None,
    }


def test_use_of_the_accelerators_is_told_where_their_peak_is_known(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path, start=0, num_steps=9, trackers=(), tokens_per_second_at_peak=800.0) as metrics:
        metrics.write(1, result_of(1), rate=1e-3, seconds=0.5)
    assert json.loads((tmp_path / METRICS_FILE).read_text("utf-8"))["mfu"] == 0.25


def test_a_line_is_there_as_soon_as_its_step_is_done(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path, start=0, num_steps=9, trackers=()) as metrics:
        metrics.write(1, result_of(1), rate=1e-3, seconds=0.5)
        assert steps_in(tmp_path) == [1]


@pytest.mark.parametrize("start", range(6))
def test_a_resumed_stage_has_every_step_once(tmp_path: Path, start: int) -> None:
    train(tmp_path, start=0, end=5)
    train(tmp_path, start=start, end=7)
    assert steps_in(tmp_path) == [1, 2, 3, 4, 5, 6, 7]


def test_the_line_that_a_kill_cut_anywhere_is_written_anew(tmp_path: Path) -> None:
    train(tmp_path, start=0, end=3)
    whole = (tmp_path / METRICS_FILE).read_bytes()
    for kept in range(whole.rindex(b"\n", 0, -1) + 1, len(whole)):
        (tmp_path / METRICS_FILE).write_bytes(whole[:kept])
        train(tmp_path, start=2, end=3)
        assert (tmp_path / METRICS_FILE).read_bytes() == whole


def test_a_resume_that_is_killed_while_it_cleans_up_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, start=0, end=3)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, start=2, end=3)
    assert steps_in(tmp_path) == [1, 2, 3]


def test_a_norm_that_deepspeed_does_not_tell_is_null(tmp_path: Path) -> None:
    train(tmp_path, start=0, end=1, grad_norm=None)
    assert json.loads((tmp_path / METRICS_FILE).read_text("utf-8"))["grad_norm"] is None


def test_tensorboard_files_are_written(tmp_path: Path) -> None:
    train(tmp_path, start=0, end=1)
    [events] = (tmp_path / "tensorboard").iterdir()
    assert b"tokens_per_second" in events.read_bytes()


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_one_clear_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        require_tracker(name)
    assert str(caught.value) == f"trackers: {name} is not installed; `pip install {name}`, or leave it out"


class _Tracker:
    """What MLflow and W&B have in common here, under both their names: a run has an id, and gets numbers by step."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str | None]] = []
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.num_ended = 0

    def start_run(self, run_id: str | None, run_name: str) -> SimpleNamespace:
        self.begun.append((run_name, run_id))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "first"))

    def init(self, name: str, id: str, resume: str, **_: str) -> None:
        assert resume == "allow"
        self.begun.append((name, id))

    def log(self, numbers: dict[str, Any], step: int) -> None:
        self.logged.append((numbers, step))

    def finish(self) -> None:
        self.num_ended += 1

    log_metrics, end_run = log, finish


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracker_gets_the_numbers_of_each_step_and_goes_on_with_its_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = _Tracker()
    monkeypatch.setitem(sys.modules, name, tracker)
    folder = tmp_path / "run" / "generator"
    folder.mkdir(parents=True)
    train(folder, start=0, end=2, grad_norm=None, trackers=(name,))
    train(folder, start=2, end=3, trackers=(name,))
    assert [step for _, step in tracker.logged] == [1, 2, 3]
    assert tracker.logged[0][0]["loss"] == 1.0
    assert "grad_norm" not in tracker.logged[0][0]
    assert {run_name for run_name, _ in tracker.begun} == {"run/generator"}
    assert tracker.begun[1][1] == (folder / f"{name}_run_id").read_text("utf-8")
    assert tracker.num_ended == 2
