"""`serve build` and `serve deploy` on a head of their own: up, replaced while it is asked, and scaled by its load."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from services.solve.proxy import CALLBACK, CALLBACK_VARIABLE
from tests.integration.heads import Head, free_ports, started_head
from tests.unit.services.kit import KEY, KEY_HASH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUESTION = "Ann has 12 apples. She buys 7 more. How many apples does Ann have now?"
DEPLOY_SECONDS = 240
ASK_SECONDS = 300
NUM_CLIENTS = 10
SCALING = {
    "min_replicas": 1,
    "max_replicas": 2,
    "target_ongoing_requests": 1,
    "upscale_delay_s": 2,
    "downscale_delay_s": 5,
    "metrics_interval_s": 1,
    "look_back_period_s": 3,
}
"""Serve's own settings of a deployment, which a file may have beside the built ones: a test cannot wait for minutes."""


@dataclass(kw_only=True)
class Service:
    """The service, and the file that it is deployed from."""

    head: Head
    file: Path
    url: str
    written: dict[str, Any] = field(default_factory=dict)

    def build(self, *options: str) -> None:
        """Have the file written."""
        host, port = self.url.removeprefix("http://").split(":")
        limits = ("--limits.max-time-limit-seconds", str(ASK_SECONDS), "--verifier", "null", *options)
        command = self.head.metamath_ray("serve", "build", "--http.host", host, "--http.port", port, *limits)
        written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        self.written = yaml.safe_load(written)
        self.file.write_text(written)

    def deploy(self, **settings: Any) -> None:  # noqa: ANN401
        """Deploy the file, with further settings of the application; wait until all of it runs."""
        self.written["applications"][0] |= settings
        self.file.write_text(yaml.safe_dump(self.written))
        command = [str(Path(sys.executable).parent / "serve"), "deploy", "-a", self.head.dashboard, str(self.file)]
        ended = subprocess.run(command, env=self.head.environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        deadline = time.monotonic() + DEPLOY_SECONDS
        while (found := self.application())["status"] != "RUNNING":
            assert found["status"] == "DEPLOYING", found
            assert time.monotonic() < deadline, found
            time.sleep(1)

    def application(self) -> dict[str, Any]:
        """Return what Serve's REST API says of it."""
        token = (self.head.folder / "token").read_text()
        headers = {"authorization": f"Bearer {token}"}
        said = httpx.get(f"{self.head.dashboard}/api/serve/applications/", headers=headers, timeout=60).json()
        found: dict[str, Any] = said["applications"]["solve"]
        return found

    def num_replicas(self) -> int:
        """Return how many replicas of the generator answer."""
        replicas = self.application()["deployments"][DEPLOYMENT_NAME]["replicas"]
        return sum(replica["state"] == "RUNNING" for replica in replicas)

    def ask(self, **knobs: Any) -> httpx.Response:  # noqa: ANN401
        body = {"question": QUESTION, "num_samples": 8, "time_limit_seconds": ASK_SECONDS, **knobs}
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.url}/v1/solve", json=body, headers=headers, timeout=2 * ASK_SECONDS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The generator alone, on a cluster whose environment has the keys; deployed by the test that needs it first."""
    [port] = free_ports(1)
    variables = {CALLBACK_VARIABLE: CALLBACK, "METAMATH_RAY_API_KEYS": f"ann:{KEY_HASH}"}
    with started_head("--num-cpus=8", variables={**variables, "RAY_worker_niceness": "0"}) as head:
        found = Service(head=head, file=tmp_path_factory.mktemp("serve") / "solve.yaml", url=f"http://127.0.0.1:{port}")
        found.build("--limits.max-samples", "64")
        found.deploy()
        yield found


class Client(threading.Thread):
    """Asks one question after the other, and keeps what comes back."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.replies: list[httpx.Response] = []
        self._service = service
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            self.replies.append(self._service.ask())

    def stop(self) -> None:
        self._ended.set()
        self.join()


def test_what_is_built_answers_whoever_has_a_key_of_the_cluster(service: Service) -> None:
    assert service.ask().json()["answer"] is not None
    assert httpx.post(f"{service.url}/v1/solve", json={"question": QUESTION}, timeout=60).status_code == 401


def test_who_asks_during_an_update_is_answered(service: Service) -> None:
    """All replicas are replaced: a question waits for the new ones, within its time."""
    assert service.ask(num_samples=33).status_code == 200
    client = Client(service)
    client.start()
    service.build("--limits.max-samples", "32")
    service.deploy()
    client.stop()
    assert service.ask(num_samples=33).status_code == 422
    assert {reply.status_code for reply in client.replies} == {200}, [reply.text for reply in client.replies]
    assert all(reply.json()["answer"] is not None for reply in client.replies)


def test_replicas_come_with_the_load_and_go_with_it(service: Service) -> None:
    """Ten times what one replica is to have in work; the settings are changed without a restart."""
    service.deploy(deployments=[{"name": DEPLOYMENT_NAME, "autoscaling_config": SCALING}])
    assert service.num_replicas() == 1
    clients = [Client(service) for _ in range(NUM_CLIENTS)]
    for client in clients:
        client.start()
    deadline = time.monotonic() + DEPLOY_SECONDS
    while service.num_replicas() < SCALING["max_replicas"]:
        assert time.monotonic() < deadline, "no second replica came"
        time.sleep(1)
    for client in clients:
        client.stop()
    assert {reply.status_code for client in clients for reply in client.replies} == {200}
    deadline = time.monotonic() + DEPLOY_SECONDS
    while service.num_replicas() > SCALING["min_replicas"]:
        assert time.monotonic() < deadline, "the second replica stayed"
        time.sleep(1)
    assert service.ask().status_code == 200
