"""Send a job to a cluster's job server, follow what it prints, and end as it ends."""

import asyncio
import logging
import os
import secrets
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import httpx
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from metamath_ray.config.submit import SubmitConfig
from metamath_ray.errors import ConfigError, RunFailed

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""Where `ray dashboard cluster.yaml` and `kubectl port-forward` bring a cluster's dashboard."""
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
EXCLUDED = (".git/", ".venv/", "runs/", "__pycache__/", "*.egg-info/", ".*_cache/", ".hypothesis/")
"""Left out of the job's working directory, in .gitignore's syntax, besides what .gitignore names."""
PROBE_SECONDS = 15
"""Longest wait for the job server's first answer; a closed port of a cloud drops packets instead of refusing."""
LOST_SECONDS = 300
"""A job server that cannot be reached for so long ends the following; the job goes on."""
RETRY_SECONDS = 2
LOST = (aiohttp.ClientError, OSError, RuntimeError, AuthenticationError)
"""What following meets while a tunnel is down or the dashboard starts anew."""
INTERRUPTED = 130
SEND_ATTEMPTS = 5
CHATTY = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
    "ray._private.runtime_env.working_dir",
)
"""Loggers of Ray that tell of every connection and of every file that is left out."""


class SubmissionObserver(Protocol):
    """Watches a submitted job."""

    def stage(self, name: str) -> None:
        """Something begins, or is to be known."""

    def output(self, text: str) -> None:
        """The job printed this."""


def submit(config: SubmitConfig, *, observer: SubmissionObserver) -> int:
    """Run a job on a cluster.

    Returns:
        The job's own exit code; 1 where it was killed, stopped or never began; 130 where following was interrupted;
        0 at once if nobody waits.

    Raises:
        ConfigError: No such file, no job server at the address, or it refuses the token.
        RunFailed: The job server cannot be reached any more.
    """
    command = entrypoint(config)
    variables = passed_variables(config, os.environ)
    address = job_server(config, os.environ)
    observer.stage(f"sending {config.working_directory} to {address}")
    job = _submitted(config, command, variables, address)
    observer.stage(f"job {job}")
    if not config.wait:
        observer.stage(how_to_go_on(address, job))
        return 0
    try:
        return _Follower(client=_client(address), address=address, job=job, observer=observer).follow()
    except KeyboardInterrupt:
        observer.stage(f"no longer following, the job goes on; {how_to_go_on(address, job)}")
        return INTERRUPTED


def entrypoint(config: SubmitConfig) -> str:
    """Return the job's command, with its configuration file as seen from the working directory.

    Raises:
        ConfigError: There is no such job or file, or the job would not get it.
    """
    root = Path(config.working_directory).resolve()
    script = Path("jobs", f"{config.job}.py")
    if not (root / script).is_file():
        raise ConfigError(f"{root} has no {script}; submit from a checkout, or name one with --working-directory")
    options = list(config.options)
    for position, option in enumerate(options):
        if option.startswith("--config="):
            options[position] = f"--config={_inside(root, option.removeprefix('--config='))}"
        elif option == "--config" and position + 1 < len(options):
            options[position + 1] = _inside(root, options[position + 1])
    return shlex.join(["python", str(script), *options])


def _inside(root: Path, given: str) -> str:
    """Return the path of a file from the working directory."""
    path = Path(given).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"{given}: no such configuration file")
    if not path.is_relative_to(root):
        raise ConfigError(f"{given} is outside of {root}, of which the job gets a copy; put it below, or submit there")
    place = path.relative_to(root)
    excluded = {name.rstrip("/") for name in EXCLUDED} & set(place.parts)
    if excluded:
        raise ConfigError(f"{given} is in {excluded.pop()}/, which is not sent; put it elsewhere, say in jobs/configs/")
    return str(place)


def passed_variables(config: SubmitConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the job gets.

    Raises:
        ConfigError: One is not set, or its address holds a password.
    """
    missing = [name for name in config.pass_environment if name not in environment]
    if missing:
        raise ConfigError(f"pass_environment: {missing[0]} is not set here")
    found = {name: environment[name] for name in config.pass_environment}
    for name, value in found.items():
        if "://" in value and urlsplit(value).password:
            raise ConfigError(f"pass_environment: {name} holds a password, which the dashboard would show")
    return found


def job_server(config: SubmitConfig, environment: Mapping[str, str]) -> str:
    """Return the address of the cluster's job server, which is its dashboard's.

    Raises:
        ConfigError: It is none.
    """
    named = ((name, environment[name]) for name in ADDRESS_VARIABLES if environment.get(name))
    source, address = ("--address", config.address) if config.address else next(named, ("", DEFAULT_ADDRESS))
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{source} is {address!r}; jobs are sent to a cluster's dashboard: give --address {DEFAULT_ADDRESS}"
        )
    if parts.password:
        raise ConfigError(f"{source} holds a password; the token comes from RAY_AUTH_TOKEN_PATH")
    return address.rstrip("/")


def how_to_go_on(address: str, job: str) -> str:
    """Say how a job that nobody follows is reached."""
    server = f"--address {address}"
    return f"follow it with `ray job logs --follow {server} {job}`, stop it with `ray job stop {server} {job}`"


def exit_code(status: JobStatus, code: int | None) -> int:
    """Return how the command ends after its job; `code` is that of the job's process, below 0 for a signal."""
    if status == JobStatus.SUCCEEDED:
        return 0
    return code if code is not None and 0 < code < 256 else 1


def _submitted(config: SubmitConfig, command: str, variables: dict[str, str], address: str) -> str:
    runtime_env: dict[str, Any] = {
        "working_dir": str(Path(config.working_directory).resolve()),
        "excludes": list(EXCLUDED),
        "env_vars": variables,
    }
    client = _client(address)
    job = f"{config.job}-{secrets.token_hex(4)}"
    for attempt in range(1, SEND_ATTEMPTS + 1):
        try:
            client.submit_job(entrypoint=command, submission_id=job, runtime_env=runtime_env)
        except (RuntimeError, ValueError, OSError) as error:
            if _is_known(client, job):
                break
            if attempt == SEND_ATTEMPTS or not isinstance(error, OSError):
                raise ConfigError(f"{address} did not take the job: {_first_line(error)}") from error
            time.sleep(RETRY_SECONDS)
        else:
            break
    return job


def _is_known(client: JobSubmissionClient, job: str) -> bool:
    """Say whether a job was taken although the answer got lost."""
    try:
        client.get_job_info(job)
    except (RuntimeError, OSError):
        return False
    return True


def _client(address: str) -> JobSubmissionClient:
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        httpx.get(f"{address}/api/version", timeout=PROBE_SECONDS)
        with _preferred(address):
            return JobSubmissionClient(address)
    except (httpx.TransportError, ConnectionError) as error:
        raise ConfigError(
            f"no dashboard answers at {address} ({_first_line(error)}); open a tunnel with `ray dashboard "
            "cluster.yaml`, or give --address"
        ) from error
    except AuthenticationError as error:
        raise ConfigError(_refused(address, error)) from error
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise ConfigError(f"{address} answers, but not as a Ray job server: {_first_line(error)}") from error


@contextmanager
def _preferred(address: str) -> Iterator[None]:
    """Name the address in the variable that Ray's client lets win over its own argument."""
    name = ADDRESS_VARIABLES[0]
    before = os.environ.get(name)
    os.environ[name] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _refused(address: str, error: AuthenticationError) -> str:
    if error.message.startswith("Authentication failed"):
        return (
            f"{address} refuses the token; `ray get-auth-token` shows which one is used, here and on the cluster's "
            "head: put the head's into ~/.ray/auth_token, or name its file in RAY_AUTH_TOKEN_PATH"
        )
    return (
        f"{address} asks for a token: set RAY_AUTH_MODE=token and put the cluster's token into ~/.ray/auth_token, or "
        "name its file in RAY_AUTH_TOKEN_PATH; `ray get-auth-token --generate` makes one for a new cluster"
    )


@dataclass(kw_only=True)
class _Follower:
    """Shows what a job prints; a connection that breaks is waited for, and nothing is shown twice."""

    client: JobSubmissionClient
    address: str
    job: str
    observer: SubmissionObserver
    num_shown: int = 0

    def follow(self) -> int:
        while True:
            with suppress(*LOST):
                asyncio.run(self._show())
            details = self._details()
            if details.status.is_terminal():
                return self._ended(details)
            time.sleep(RETRY_SECONDS)

    def _details(self) -> JobDetails:
        deadline = time.monotonic() + LOST_SECONDS
        while True:
            try:
                return self.client.get_job_info(self.job)
            except LOST as error:
                if time.monotonic() > deadline:
                    raise RunFailed(
                        f"{self.address} cannot be reached any more ({_first_line(error)}); the job may go on: "
                        f"{how_to_go_on(self.address, self.job)}"
                    ) from error
            time.sleep(RETRY_SECONDS)

    async def _show(self) -> None:
        """Show the log from where it was left until the server is done; a server tells it from the beginning."""
        num_told = 0
        async with aclosing(self.client.tail_job_logs(self.job)) as told:
            async for text in told:
                unseen = text[max(self.num_shown - num_told, 0) :]
                num_told += len(text)
                if unseen:
                    self.observer.output(unseen)
                    self.num_shown += len(unseen)

    def _ended(self, details: JobDetails) -> int:
        code = exit_code(details.status, details.driver_exit_code)
        if details.status == JobStatus.STOPPED:
            self.observer.stage(f"job {self.job} was stopped")
        elif code and details.driver_exit_code is None:
            self.observer.stage(f"job {self.job} did not begin: {_first_line(details.message)}")
        elif code:
            self.observer.stage(f"job {self.job} failed with exit code {details.driver_exit_code}")
        return code


def _first_line(error: object) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
