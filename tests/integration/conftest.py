"""One real cluster for all integration tests: Ray, vLLM with the embedded teacher behind Serve, an OpenAI route."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray
from ray import serve

from metamath_ray.config import BootstrapConfig, RayConfig, SolveConfig
from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.distributed.cluster import connected
from metamath_ray.storage import RunDirectory
from services.llm import build_app
from services.solve.deployments import solve_application
from services.solve.proxy import CALLBACK, CALLBACK_VARIABLE

NUM_CPUS = 12
NUM_PROBLEMS = 10
APPLICATION = "llm"
READY_SECONDS = 120


@dataclass(frozen=True)
class Cluster:
    """Where the cluster is."""

    address: str
    base_url: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a command that shall use the cluster."""
        return {**os.environ, "RAY_ADDRESS": self.address, "COLUMNS": "160"}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    port = _free_port()
    os.environ[CALLBACK_VARIABLE] = CALLBACK
    with connected(RayConfig(), num_cpus=NUM_CPUS, logs=tmp_path_factory.mktemp("cluster")):
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build_app({"model": "embedded:teacher", "max_num_seqs": 64}), name=APPLICATION, route_prefix="/")
        yield Cluster(address=ray.get_runtime_context().gcs_address, base_url=f"http://127.0.0.1:{port}/v1")
        serve.shutdown()


SOLVE_CONFIG: dict[str, Any] = {
    "generator": {"model": "embedded:teacher", "max_num_seqs": 64},
    "verifier": {"model": "embedded:verifier", "max_num_seqs": 64},
    "sampling": {"temperature": 0.8, "max_tokens": 256},
    "limits": {"max_running": 4, "max_queued": 8, "max_time_limit_seconds": 60},
}


@pytest.fixture(scope="session")
def solve_url(cluster: Cluster) -> Iterator[str]:
    """The solve service with both embedded models: its address, once it has answered a question."""
    app = solve_application(SolveConfig.model_validate(SOLVE_CONFIG))
    serve.run(app, name="solve", route_prefix="/solve")
    url = cluster.base_url.replace("/v1", "/solve")
    deadline = time.monotonic() + READY_SECONDS
    while not httpx.get(f"{url}/readyz", timeout=30).is_success:
        assert time.monotonic() < deadline, "the service did not get ready"
        time.sleep(0.5)
    yield url
    serve.delete("solve")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def bootstrap_config(run_directory: Path, **changes: object) -> BootstrapConfig:
    """A small bootstrap of the embedded world over the shared cluster, slow enough to be disturbed."""
    settings: dict[str, object] = {
        "run_directory": str(run_directory),
        "source": {"format": "word_problems", "split": "train", "limit": NUM_PROBLEMS},
        "sampling": {"rewrite": {"max_tokens": 160}, "solve": {"max_tokens": 256}},
        "engine": {"kind": "serve", "model": "embedded:teacher", "attach": APPLICATION},
        "execution": {"rows_in_flight": 16, "batch_size": 8, "flush_seconds": 1, "retry_budget_seconds": 400},
    }
    return BootstrapConfig.model_validate({**settings, **changes})


def outcomes(run_directory: Path) -> dict[str, dict[str, Any]]:
    """Read all outcomes of a run by id; fails when an id stands twice."""
    run = RunDirectory(str(run_directory))
    rows = [row for shard in run.outcome_shards() for row in run.read_shard(shard).to_pylist()]
    by_id = {row["item_id"]: row for row in rows}
    assert len(by_id) == len(rows), "an outcome is stored twice"
    return by_id


def planned_ids(run_directory: Path) -> set[str]:
    """Return the ids of a plan."""
    batches = RunDirectory(str(run_directory)).plan_batches(["item_id"])
    return {item_id for batch in batches for item_id in batch.column("item_id").to_pylist()}


def cluster_processes(title: str) -> list[psutil.Process]:
    """Return the processes of this session's cluster, and of nobody else's, whose command line holds the title."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if title in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    """A run that nothing happened to."""
    run_directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    bootstrap(bootstrap_config(run_directory))
    return run_directory


def asked(row: dict[str, Any]) -> tuple[str, tuple[int | None, ...]]:
    """Return what of an outcome is fixed by the plan: the item, and the seeds of its completions."""
    return row["item_id"], tuple(row[stage]["seed"] if row[stage] else None for stage in ("rewrite", "solution"))


def share_of_equal_texts(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> float:
    """Return in how many of the items two runs have the same solution, to the letter."""
    same = [item_id for item_id in first if first[item_id]["solution"] == second[item_id]["solution"]]
    return len(same) / len(first)
