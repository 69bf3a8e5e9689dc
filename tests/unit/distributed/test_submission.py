"""A submission against a job server in a thread: what is sent, what is shown, how it ends."""

import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.job_submission import JobStatus

from metamath_ray.arguments import parse_arguments
from metamath_ray.config.submit import PASSED_VARIABLES, SubmitCommand, SubmitConfig, split_arguments
from metamath_ray.distributed import submission
from metamath_ray.distributed.submission import entrypoint, exit_code, job_server, passed_variables, submit
from metamath_ray.errors import ConfigError, RunFailed
from tests.unit.distributed.job_server import JobServer, running


class Recorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.text = ""

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def output(self, text: str) -> None:
        self.text += text


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS", "RAY_AUTH_MODE", *PASSED_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(submission, "RETRY_SECONDS", 0)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("jobs/configs", "runs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "jobs" / "bootstrap.py").write_text("")
    (tmp_path / "jobs" / "configs" / "a b.yaml").write_text("")
    (tmp_path / "runs" / "old.yaml").write_text("")
    return tmp_path


@pytest.fixture
def server() -> Iterator[JobServer]:
    with running(JobServer()) as started:
        yield started


def config(checkout: Path, *options: str, **settings: Any) -> SubmitConfig:  # noqa: ANN401
    return SubmitConfig(job="bootstrap", working_directory=str(checkout), options=options, **settings)


SPLITS = {
    "bootstrap --config a.yaml --seed 3": ("bootstrap", "--config a.yaml --seed 3"),
    "bootstrap --address http://h:1 --fork": ("bootstrap --address http://h:1", "--fork"),
    "bootstrap --address=http://h:1 --no-wait -x": ("bootstrap --address=http://h:1 --no-wait", "-x"),
    "bootstrap --source.limit 4 --wait": ("bootstrap --wait", "--source.limit 4"),
    "bootstrap --config --no-wait.yaml": ("bootstrap", "--config --no-wait.yaml"),
    "bootstrap --no-wait -- --address mine": ("bootstrap --no-wait", "--address mine"),
    "--help": ("--help", ""),
    "bootstrap --address": ("bootstrap --address", ""),
    "": ("", ""),
}


@pytest.mark.parametrize("line", SPLITS)
def test_own_options_are_told_from_the_job_s(line: str) -> None:
    own, options = split_arguments(line.split())
    assert (" ".join(own), " ".join(options)) == SPLITS[line]


@given(st.lists(st.text(min_size=1)))
def test_all_that_follows_two_dashes_is_the_job_s(options: list[str]) -> None:
    assert split_arguments(["bootstrap", "--", *options]) == (["bootstrap"], tuple(options))


def test_an_unknown_job_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"job: .*'bootstrap', .*'finetune'"):
        parse_arguments(SubmitCommand, ["bake"], program="metamath-ray submit")


def test_a_secret_is_not_passed_on() -> None:
    with pytest.raises(ConfigError, match=r"HF_TOKEN is not passed on.*cluster's nodes"):
        parse_arguments(SubmitCommand, ["bootstrap", "--pass-environment", "HF_TOKEN"], program="metamath-ray submit")
    assert not [name for name in PASSED_VARIABLES if "TOKEN" in name or "KEY" in name or "SECRET" in name]


def test_passed_variables_are_those_named_and_set(checkout: Path) -> None:
    named = config(checkout, pass_environment=("HF_ENDPOINT",))
    assert passed_variables(named, {"HF_ENDPOINT": "https://mirror", "HF_TOKEN": "x"}) == {
        "HF_ENDPOINT": "https://mirror"
    }
    with pytest.raises(ConfigError, match="HF_ENDPOINT is not set"):
        passed_variables(named, {})
    with pytest.raises(ConfigError, match="HF_ENDPOINT holds a password"):
        passed_variables(named, {"HF_ENDPOINT": "https://ann:secret@mirror"})


@pytest.mark.parametrize("form", ["--config={}", "--config {}"])
def test_the_configuration_is_named_as_the_job_finds_it(checkout: Path, form: str) -> None:
    path = str(checkout / "jobs" / "configs" / "a b.yaml")
    given_options = form.replace("{}", shlex.quote(path))
    command = entrypoint(config(checkout, *shlex.split(given_options), "--seed", "3; rm -rf /"))
    expected = form.replace("{}", "'jobs/configs/a b.yaml'")
    assert shlex.split(command) == ["python", "jobs/bootstrap.py", *shlex.split(expected), "--seed", "3; rm -rf /"]


def test_a_configuration_that_the_job_would_not_get_is_refused(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml: no such configuration file"):
        entrypoint(config(checkout, "--config", "nowhere.yaml"))
    outside = tmp_path_factory.mktemp("outside") / "a.yaml"
    outside.write_text("")
    with pytest.raises(ConfigError, match="is outside of"):
        entrypoint(config(checkout, "--config", str(outside)))
    with pytest.raises(ConfigError, match="is in runs/, which is not sent"):
        entrypoint(config(checkout, "--config", str(checkout / "runs" / "old.yaml")))


def test_a_folder_without_the_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no jobs/bootstrap.py; submit from a checkout"):
        entrypoint(config(tmp_path))


def test_the_option_wins_over_the_variables_and_these_in_ray_s_order(checkout: Path) -> None:
    both = {"RAY_API_SERVER_ADDRESS": "http://a:1", "RAY_ADDRESS": "http://b:1"}
    assert job_server(config(checkout, address="https://c:1/"), both) == "https://c:1"
    assert job_server(config(checkout), both) == "http://a:1"
    assert job_server(config(checkout), {"RAY_ADDRESS": "http://b:1"}) == "http://b:1"
    assert job_server(config(checkout), {}) == submission.DEFAULT_ADDRESS


@pytest.mark.parametrize("address", ["10.0.0.1:6379", "auto", "ray://h:10001", "http://", "ftp://h"])
def test_an_address_that_is_no_dashboard_is_refused(checkout: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS is .*; jobs are sent to a cluster's dashboard"):
        job_server(config(checkout), {"RAY_ADDRESS": address})


def test_a_password_in_an_address_is_refused_and_not_repeated(checkout: Path) -> None:
    with pytest.raises(ConfigError, match="--address holds a password") as refused:
        job_server(config(checkout, address="http://ann:hidden@h:1"), {})
    assert "hidden" not in str(refused.value)


CODES = [
    (JobStatus.SUCCEEDED, 0, 0),
    (JobStatus.SUCCEEDED, None, 0),
    (JobStatus.FAILED, 1, 1),
    (JobStatus.FAILED, 2, 2),
    (JobStatus.FAILED, 130, 130),
    (JobStatus.FAILED, -9, 1),
    (JobStatus.FAILED, None, 1),
    (JobStatus.STOPPED, None, 1),
    (JobStatus.STOPPED, 0, 1),
]


@pytest.mark.parametrize(("status", "code", "expected"), CODES)
def test_the_command_ends_as_the_job_ends(status: JobStatus, code: int | None, expected: int) -> None:
    assert exit_code(status, code) == expected


def test_a_job_is_sent_whole_shown_and_ended(
    server: JobServer, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "nowhere-1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    server.log, server.status, server.exit_code = "one\ntwo\n", "FAILED", 2
    seen = Recorder()
    asked = config(checkout, "--seed", "3", address=server.address, pass_environment=("AWS_REGION",))
    assert submit(asked, observer=seen) == 2
    assert seen.text == "one\ntwo\n"
    [sent] = server.submitted
    assert sent["entrypoint"] == "python jobs/bootstrap.py --seed 3"
    assert sent["runtime_env"]["env_vars"] == {"AWS_REGION": "nowhere-1"}
    assert set(submission.EXCLUDED) <= set(sent["runtime_env"]["excludes"])
    assert seen.stages[-1] == f"job {sent['submission_id']} failed with exit code 2"


@pytest.mark.parametrize("lost", [[True], [False], [False, False, True]])
def test_a_job_whose_answer_is_lost_runs_once(server: JobServer, checkout: Path, lost: list[bool]) -> None:
    server.lost_answers, server.log = list(lost), "one\n"
    seen = Recorder()
    assert submit(config(checkout, address=server.address), observer=seen) == 0
    assert len(server.submitted) == 1
    assert seen.text == "one\n"


def test_a_server_that_takes_no_job_is_named(server: JobServer, checkout: Path) -> None:
    server.submitted = [{"submission_id": "another"}]
    server.lost_answers = [False] * submission.SEND_ATTEMPTS
    with pytest.raises(ConfigError, match="did not take the job: "):
        submit(config(checkout, address=server.address), observer=Recorder())


def test_nobody_waits_where_waiting_is_not_asked_for(server: JobServer, checkout: Path) -> None:
    server.log, server.status, server.exit_code = "one\n", "FAILED", 2
    seen = Recorder()
    assert submit(config(checkout, address=server.address, wait=False), observer=seen) == 0
    job = server.submitted[0]["submission_id"]
    assert seen.text == ""
    assert f"ray job logs --follow --address {server.address} {job}" in seen.stages[-1]
    assert f"ray job stop --address {server.address} {job}" in seen.stages[-1]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 40), max_size=4))
def test_a_connection_that_breaks_loses_and_repeats_nothing(breaks: list[int]) -> None:
    log = "".join(f"line {number}\n" for number in range(6))
    seen = Recorder()
    with running(JobServer(log=log, breaks_after=breaks, submitted=[{"submission_id": "job"}])) as broken:
        client = submission._client(broken.address)
        follower = submission._Follower(client=client, address=broken.address, job="job", observer=seen)
        assert follower.follow() == 0
    assert seen.text == log


def test_a_server_that_is_gone_for_good_ends_the_following(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(JobServer()) as gone:
        client = submission._client(gone.address)
    monkeypatch.setattr(submission, "LOST_SECONDS", 0.1)
    follower = submission._Follower(client=client, address=gone.address, job="job", observer=Recorder())
    with pytest.raises(RunFailed, match=r"cannot be reached any more .*; the job may go on: follow it with"):
        follower.follow()


def test_ctrl_c_leaves_the_job_alone(server: JobServer, checkout: Path) -> None:
    class Impatient(Recorder):
        def output(self, text: str) -> None:
            raise KeyboardInterrupt

    server.log = "one\n"
    seen = Impatient()
    assert submit(config(checkout, address=server.address), observer=seen) == submission.INTERRUPTED
    assert seen.stages[-1].startswith("no longer following, the job goes on; follow it with")


@pytest.mark.parametrize(
    ("status", "code", "message", "said"),
    [
        ("FAILED", None, "\nNo space left\nmore", "did not begin: No space left"),
        ("STOPPED", None, None, "was stopped"),
    ],
)
def test_a_job_that_did_not_run_to_its_end_says_why(
    server: JobServer, checkout: Path, status: str, code: int | None, message: str | None, said: str
) -> None:
    server.status, server.exit_code, server.message = status, code, message
    seen = Recorder()
    assert submit(config(checkout, address=server.address), observer=seen) == 1
    assert seen.stages[-1].endswith(said)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (401, "asks for a token: set RAY_AUTH_MODE=token .*ray get-auth-token --generate"),
        (403, "refuses the token; .*RAY_AUTH_TOKEN_PATH"),
        (404, "answers, but not as a Ray job server"),
        (500, "answers, but not as a Ray job server"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(server: JobServer, checkout: Path, refusal: int, said: str) -> None:
    server.refusal = refusal
    with pytest.raises(ConfigError, match=said) as refused:
        submit(config(checkout, address=server.address), observer=Recorder())
    assert "\n" not in str(refused.value)


def test_where_no_dashboard_answers_one_line_says_how_to_reach_it(checkout: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(
        ConfigError, match=f"no dashboard answers at http://127.0.0.1:{port} .*ray dashboard"
    ) as refused:
        submit(config(checkout, address=f"http://127.0.0.1:{port}"), observer=Recorder())
    assert "\n" not in str(refused.value)
