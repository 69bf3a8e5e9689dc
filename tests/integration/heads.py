"""Ray nodes of their own, started with `ray start` and a token, that no other Ray on this machine sees or ends."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from ray.util import get_node_ip_address

START_SECONDS = 300
STOP_SECONDS = 10
OBJECT_STORE_BYTES = 200 * 2**20
RAY_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
ANY_PORTS = ("--min-worker-port=0", "--max-worker-port=0")
"""Several nodes on one host would want the same ones."""
STARTED = "Ray runtime started."
"""What `ray start` says when its node is up."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A running head.

    Attributes:
        address: Of its GCS.
        dashboard: Address of its dashboard, should it have been asked for.
        environment: Of a client that may use it, on this machine.
        prefix: Command that brings a process to the host of the head; nothing where that is this machine.
    """

    folder: Path
    address: str
    dashboard: str
    environment: Mapping[str, str]
    prefix: Sequence[str] = field(default=())

    def metamath_ray(self, *arguments: str) -> list[str]:
        """Return the command line of one of our commands on the head."""
        return [*self.prefix, sys.executable, "-m", "metamath_ray.cli", *arguments]


@contextmanager
def started_head(
    *options: str,
    ip: str = "",
    prefix: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[Head]:
    """Start a head in a folder of its own; what it started, on whichever host, ends with the block.

    Args:
        options: Further ones of `ray start --head`.
        ip: Its address, this machine's by default.
        prefix: Command that brings a process to its host.
        variables: Of the environment of its cluster.
        port: Of its GCS, a free one by default.
    """
    folder = Path(tempfile.mkdtemp(prefix="mr-"))
    (folder / "token").write_text("0123456789abcdef" * 4)
    dashboard, client, agent, other = free_ports(4)
    port = port or other
    ip = ip or get_node_ip_address()
    environment = {**_environment(folder), "RAY_ADDRESS": f"{ip}:{port}"}
    head = Head(
        folder=folder,
        address=f"{ip}:{port}",
        dashboard=f"http://127.0.0.1:{dashboard}",
        environment=environment,
        prefix=prefix,
    )
    command = [
        *("--head", f"--port={port}", f"--node-ip-address={ip}", f"--temp-dir={folder}", "--disable-usage-stats"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
        *(f"--dashboard-agent-listen-port={agent}", *options),
    ]
    started = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
    try:
        with ray_node(head, *command, prefix=prefix, environment={**started, **(variables or {})}):
            yield head
    finally:
        end_all(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def ray_node(
    head: Head, *options: str, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ray start`, as of a worker unless the options say otherwise, and wait until the node is up."""
    [agent] = free_ports(1)
    worker = (f"--address={head.address}", f"--dashboard-agent-listen-port={agent}")
    joined = options if "--head" in options else (*worker, *options)
    ray = str(Path(sys.executable).parent / "ray")
    command = [*prefix, ray, "start", "--block", f"--object-store-memory={OBJECT_STORE_BYTES}", *ANY_PORTS, *joined]
    log = Path(tempfile.mkstemp(prefix="start-", suffix=".log", dir=head.folder)[1])
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment or head.environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_up(process, log)
        yield process
    finally:
        end(process)


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _environment(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in RAY_VARIABLES}
    return {
        **clean,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_TMPDIR": str(folder),
        "RAY_worker_niceness": "0",
        "RAY_raylet_start_wait_time_s": str(START_SECONDS),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "160",
    }


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while STARTED not in log.read_text():
        assert process.poll() is None, f"the node ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the node did not come up: {log.read_text()[-2000:]}"
        time.sleep(0.2)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it started, and close its pipes."""
    ours = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_SECONDS)
    for other in ours:
        with suppress(psutil.Error):
            other.kill()
    process.kill()
    process.wait()
    for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
        pipe.close()


def end_all(title: str) -> None:
    """End whatever names a folder, and nobody else's Ray."""
    for other in psutil.process_iter():
        with suppress(psutil.Error):
            if title in " ".join(other.cmdline()):
                other.kill()
