"""What libraries print goes to the run's log, also when the process does not come to its end."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metamath_ray.terminal_quiet import quiet

START = """
import os, sys
from metamath_ray.terminal_quiet import quiet

with quiet(sys.argv[1]) as console:
    os.write(2, b"what a library says\\n")
    console.print("what the user sees")
    if sys.argv[2] == "dies":
        os._exit(1)
"""
Start = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def start(run: Path, temporary: Path) -> Start:
    def started(end: str) -> str:
        command = [sys.executable, "-c", START, str(run), end]
        done = subprocess.run(
            command, env={**os.environ, "TMPDIR": str(temporary)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (int(end == "dies"), "")
        return done.stdout

    return started


def driver_log(run: Path) -> str:
    return (run / "logs" / "driver.log").read_text()


def test_what_libraries_print_is_in_the_runs_log_and_nowhere_else(start: Start, run: Path, temporary: Path) -> None:
    assert start("ends") == "what the user sees\n"
    assert driver_log(run) == "what a library says\n"
    assert not list(temporary.iterdir())


def test_a_start_without_a_run_leaves_nothing(start: Start, run: Path, temporary: Path) -> None:
    (run / "manifest.json").unlink()
    start("ends")
    assert not list(run.iterdir())
    assert not list(temporary.iterdir())


def test_the_log_of_a_start_that_was_cut_off_is_kept_by_the_next(start: Start, run: Path, temporary: Path) -> None:
    start("dies")
    assert not (run / "logs").exists()
    said = start("ends")
    assert said == f"an earlier start was cut off; its log: {run}/logs/driver.log\nwhat the user sees\n"
    assert driver_log(run) == 2 * "what a library says\n"
    assert not list(temporary.iterdir())
    assert start("ends") == "what the user sees\n"


def test_where_there_is_no_run_to_keep_it_the_log_stays(start: Start, run: Path, temporary: Path) -> None:
    (run / "manifest.json").unlink()
    start("dies")
    [log] = temporary.iterdir()
    assert str(log) in start("ends")
    assert log.read_text() == "what a library says\n"


def test_the_log_of_a_process_that_lives_is_left_alone(
    start: Start, run: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with quiet(str(run)):
        assert start("ends") == "what the user sees\n"
        assert len(list(temporary.iterdir())) == 1


def test_what_somebody_else_put_there_is_left_alone(start: Start, run: Path, temporary: Path, tmp_path: Path) -> None:
    start("dies")
    [log] = temporary.iterdir()
    prefix = log.name[: log.name.rindex("-") + 1]
    log.unlink()
    (tmp_path / "secret").write_text("secret")
    (temporary / f"{prefix}link.log").symlink_to(tmp_path / "secret")
    (temporary / f"{prefix}folder.log").mkdir()
    (temporary / f"{prefix}other.log").hardlink_to(tmp_path / "secret")
    assert start("ends") == "what the user sees\n"
    assert driver_log(run) == "what a library says\n"
    assert len(list(temporary.iterdir())) == 3


def test_a_log_that_was_swept_away_meanwhile_changes_nothing(
    run: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with quiet(str(run)):
        [log] = temporary.iterdir()
        log.unlink()
        os.write(2, b"what a library says\n")
    assert driver_log(run) == "what a library says\n"
