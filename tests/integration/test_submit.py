"""`metamath-ray submit` against a head of its own, with dashboard and token, that no other Ray here sees."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from metamath_ray.distributed.submission import INTERRUPTED
from metamath_ray.storage import RunDirectory, summarize
from tests.integration.heads import START_SECONDS, started_head

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
JOB_SECONDS = 1500
JOB = """
import os, pathlib, sys, time
here = pathlib.Path.cwd()
print("config:", pathlib.Path(sys.argv[2]).read_text())
print("sent:", sorted(path.name for path in here.iterdir()))
print("region:", os.environ.get("AWS_REGION"), "secret:", os.environ.get("HF_TOKEN"))
print("begun", flush=True)
time.sleep(float(sys.argv[3]))
print("done")
sys.exit(int(sys.argv[4]))
"""


@dataclass(frozen=True)
class Head:
    """A running head: its dashboard, and the environment of a client that may use it."""

    address: str
    environment: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "metamath_ray.cli", "submit", *arguments]

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **changes}
        command = self.command(*arguments)
        return subprocess.run(
            command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=JOB_SECONDS, check=False
        )

    def get(self, path: str) -> httpx.Response:
        token = Path(self.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        return httpx.get(f"{self.address}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with started_head("--num-cpus=4", variables={"HF_TOKEN": "of the cluster"}) as started:
        unaddressed = {name: value for name, value in started.environment.items() if name != "RAY_ADDRESS"}
        head = Head(started.dashboard, {**unaddressed, "HF_TOKEN": "of the laptop"})
        _wait_for_dashboard(head)
        yield head


def _wait_for_dashboard(head: Head) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if head.get("/api/jobs/").is_success:
                return
        time.sleep(1)
    raise AssertionError("the dashboard did not come up")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working directory with one small job, and things that must not be sent."""
    for name in ("jobs", ".venv", "runs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "jobs" / "bootstrap.py").write_text(JOB)
    (tmp_path / "settings.yaml").write_text("of mine")
    return tmp_path


def _arguments(head: Head, checkout: Path, *rest: str) -> list[str]:
    job = ["bootstrap", "--address", head.address, "--working-directory", str(checkout)]
    return [*job, "--config", str(checkout / "settings.yaml"), *rest]


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_s_output_and_exit_code_are_the_command_s(head: Head, checkout: Path, code: int) -> None:
    arguments = _arguments(head, checkout, "--pass-environment", "AWS_REGION", "--", "0", str(code))
    ended = head.run(*arguments, AWS_REGION="nowhere-1")
    assert ended.returncode == code, ended.stderr
    assert "config: of mine" in ended.stdout
    assert "sent: ['jobs', 'settings.yaml']" in ended.stdout
    assert "region: nowhere-1 secret: of the cluster" in ended.stdout
    assert ended.stdout.count("done\n") == 1


def test_nobody_waits_with_no_wait(head: Head, checkout: Path) -> None:
    ended = head.run(*_arguments(head, checkout, "--no-wait", "--", "0", "3"))
    assert ended.returncode == 0
    assert "done" not in ended.stdout
    assert "ray job logs --follow" in ended.stderr


def test_ctrl_c_leaves_the_job_and_says_how_to_reach_it(head: Head, checkout: Path) -> None:
    command = head.command(*_arguments(head, checkout, "--", "3000", "0"))
    pipe, environment = subprocess.PIPE, head.environment
    with subprocess.Popen(command, env=environment, cwd=CHECKOUT, text=True, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert any(line == "begun\n" for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in said
    job = said.rpartition(" ")[2].strip("`\n")
    assert f"ray job stop --address {head.address} {job}" in said
    assert head.get(f"/api/jobs/{job}").json()["status"] == "RUNNING"
    token = Path(head.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    stopped = httpx.post(f"{head.address}/api/jobs/{job}/stop", headers={"Authorization": f"Bearer {token}"})
    assert stopped.json()["stopped"]


def test_without_a_token_one_line_says_how_to_get_one(head: Head, checkout: Path, tmp_path: Path) -> None:
    ended = head.run(*_arguments(head, checkout), RAY_AUTH_MODE="disabled")
    assert ended.returncode == 2
    assert "asks for a token: set RAY_AUTH_MODE=token" in ended.stderr.splitlines()[-1]
    nowhere = head.run(*_arguments(head, checkout), RAY_AUTH_TOKEN_PATH=str(tmp_path / "nowhere"))
    assert nowhere.returncode == 2
    assert "asks for a token" in nowhere.stderr.splitlines()[-1]


def test_a_wrong_token_is_refused_in_one_line(head: Head, checkout: Path) -> None:
    ended = head.run(*_arguments(head, checkout), RAY_AUTH_TOKEN="fedcba9876543210" * 4)
    assert ended.returncode == 2
    assert "refuses the token" in ended.stderr.splitlines()[-1]


def test_a_user_s_error_in_a_real_job_ends_with_its_line_and_code(head: Head) -> None:
    config = "jobs/configs/bootstrap_word_problems_teacher.yaml"
    ended = head.run("bootstrap", "--config", config, "--run-directory", "runs/lost", "--address", head.address)
    assert ended.returncode == 2, ended.stderr
    assert "relative to the job's working directory" in ended.stdout


@pytest.mark.timeout(JOB_SECONDS + 100)
def test_a_real_bootstrap_runs_from_a_checkout(head: Head, tmp_path: Path) -> None:
    config = "jobs/configs/bootstrap_word_problems_teacher.yaml"
    run = tmp_path / "run"
    ended = head.run(
        *("bootstrap", "--config", config, "--address", head.address, "--run-directory", str(run)),
        *("--source.limit", "4", "--execution.batch-size", "8"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = summarize(RunDirectory(str(run)))
    assert summary.num_finished == summary.num_planned > 0
    assert f"rows: {run}/dataset" in ended.stdout
