"""Nodes that come when they are asked for and go when they are idle, by Ray's own autoscaler and its fake provider."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE
from ray.util import get_node_ip_address

from metamath_ray.distributed.deployment import CPU_PER_REPLICA
from tests.integration.conftest import bootstrap_config, outcomes, planned_ids
from tests.integration.heads import Head, end, free_ports, started_head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NUM_REPLICAS = 2
IDLE_MINUTES = 0.2
RUN_SECONDS = 480
GONE_SECONDS = 120
NODE_TYPES: dict[str, dict[str, Any]] = {
    FAKE_HEAD_NODE_TYPE: {"resources": {"CPU": 0}, "max_workers": 0},
    "cpu": {"resources": {"CPU": CPU_PER_REPLICA}, "max_workers": 4},
    "l4": {"resources": {"CPU": 0, "GPU": 1, "accelerator_type:L4": 1}, "max_workers": NUM_REPLICAS},
}
"""A head that does no work, as in cluster.yaml; nodes that hold one replica on CPU each; GPUs that are declared and not
there, and which vLLM's CPU build refuses to use."""

VARIABLES = {
    "RAY_FAKE_CLUSTER": "1",
    "RAY_enable_autoscaler_v2": "1",
    "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
}

WATCH = """
import json, time, ray
ray.init(logging_level="ERROR", log_to_driver=False)
while True:
    nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
    print(json.dumps(nodes), flush=True)
    time.sleep(0.5)
"""


def autoscaling_config(port: int) -> dict[str, Any]:
    """What `ray up` would leave on a head; the wheel lacks Ray's own example for its fake provider."""
    lists = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    types = {name: {"min_workers": 0, "node_config": {}, **kind} for name, kind in NODE_TYPES.items()}
    return {
        "cluster_name": "fake",
        "max_workers": sum(kind["max_workers"] for kind in NODE_TYPES.values()),
        "upscaling_speed": 10,
        "idle_timeout_minutes": IDLE_MINUTES,
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "available_node_types": types,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": f"{get_node_ip_address()}:{port}",
            "head_node_id": FAKE_HEAD_NODE_ID,
            "launch_multiple": True,
            "disable_node_updaters": True,
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
        **{name: [] for name in lists},
    }


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    [port] = free_ports(1)
    file = tmp_path / "autoscaling.yaml"
    file.write_text(yaml.safe_dump(autoscaling_config(port)))
    options = ("--num-cpus=0", "--num-gpus=0", "--include-dashboard=false", f"--autoscaling-config={file}")
    with started_head(*options, variables=VARIABLES, port=port) as started:
        yield started


class Watch(threading.Thread):
    """Notes which nodes a cluster has, from a process of its own that asks for nothing."""

    def __init__(self, head: Head) -> None:
        super().__init__(daemon=True)
        command, pipe, null = [sys.executable, "-c", WATCH], subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, env=head.environment, stdout=pipe, stderr=null, text=True)
        self.alive: dict[str, dict[str, float]] = {}
        self.most: dict[str, int] = {}

    def run(self) -> None:
        assert self.process.stdout is not None
        for line in filter(lambda line: line.startswith("{"), self.process.stdout):  # the autoscaler speaks there, too
            self.alive = json.loads(line)
            for name in ("cpu", "l4"):
                self.most[name] = max(self.most.get(name, 0), self.count(name))

    def count(self, node_type: str) -> int:
        """How many nodes of a type there are now."""
        has_gpu = "GPU" in NODE_TYPES[node_type]["resources"]
        workers = [resources for node, resources in self.alive.items() if node != FAKE_HEAD_NODE_ID]
        return sum(("GPU" in resources) == has_gpu for resources in workers)


@contextmanager
def watched(head: Head) -> Iterator[Watch]:
    watch = Watch(head)
    watch.start()
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.join()
        end(watch.process)


def run_bootstrap(head: Head, run_directory: Path, **engine: Any) -> None:  # noqa: ANN401
    """Run one to its end; nothing may be lost, repeated or failed."""
    settings = {"kind": "serve", "model": "embedded:teacher", "max_num_seqs": 32, **engine}
    config = run_directory.with_suffix(".yaml")
    config.write_text(bootstrap_config(run_directory, engine=settings).model_dump_json())
    command = head.metamath_ray("bootstrap", "--config", str(config))
    ended = subprocess.run(
        command, env=head.environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = outcomes(run_directory)
    assert found.keys() == planned_ids(run_directory)
    assert not [row["error"] for row in found.values() if row["status"] == "failed"]


def wait_until_gone(watch: Watch) -> None:
    """Wait until the head is alone."""
    deadline = time.monotonic() + GONE_SECONDS
    while watch.alive.keys() != {FAKE_HEAD_NODE_ID}:
        assert time.monotonic() < deadline, f"nodes stay: {watch.alive}"
        time.sleep(1)


def test_nodes_come_for_the_replicas_of_a_bootstrap_and_go_after_it(head: Head, tmp_path: Path) -> None:
    with watched(head) as watch:
        run_bootstrap(head, tmp_path / "run", num_replicas=NUM_REPLICAS)
        assert watch.most["cpu"] > NUM_REPLICAS, "there was no node for the item workers"
        assert watch.most["l4"] == 0
        wait_until_gone(watch)


def test_nodes_of_the_gpu_that_is_asked_for_come_and_go(head: Head, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.scripted_replicas", "L4", str(NUM_REPLICAS)]
    pipe = subprocess.PIPE
    with (
        watched(head) as watch,
        subprocess.Popen(command, env=head.environment, stdin=pipe, stdout=pipe, text=True) as replicas,
    ):
        assert replicas.stdout is not None
        assert "deployed\n" in iter(replicas.stdout.readline, "")
        run_bootstrap(head, tmp_path / "run", attach="llm")
        assert watch.most["l4"] == NUM_REPLICAS
        assert watch.most["cpu"] > 0
        replicas.communicate()
        wait_until_gone(watch)
