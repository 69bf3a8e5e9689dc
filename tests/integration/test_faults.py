"""What must not be lost: kill the engine, the replica, a worker and the driver in the middle of a run."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory
from tests.integration.conftest import Cluster, bootstrap_config, outcomes, planned_ids, processes_titled
from tests.integration.test_bootstrap import SAME_TEXTS

WAIT_SECONDS = 240


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> dict[str, dict[str, object]]:
    run_directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    bootstrap(bootstrap_config(run_directory))
    return outcomes(run_directory)


def assert_nothing_lost(run_directory: Path, undisturbed: dict[str, dict[str, object]]) -> None:
    found = outcomes(run_directory)
    assert found.keys() == planned_ids(run_directory) == undisturbed.keys()
    assert not [row["error"] for row in found.values() if row["status"] == "failed"]
    same = sum(found[item_id]["solution"] == undisturbed[item_id]["solution"] for item_id in found)
    assert same >= SAME_TEXTS * len(found)


def when_under_way(run_directory: Path, act: Callable[[], None]) -> threading.Thread:
    """Act once the run has stored its first outcomes, in a thread of its own."""

    def wait_and_act() -> None:
        wait_until_under_way(run_directory)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def wait_until_under_way(run_directory: Path) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not RunDirectory(str(run_directory)).outcome_shards():
        assert time.monotonic() < deadline, "the run stored nothing"
        time.sleep(0.05)


def kill(*title: str) -> Callable[[], None]:
    def act() -> None:
        victims = processes_titled(*title)
        assert victims, f"no process titled {title}"
        victims[0].send_signal(signal.SIGKILL)

    return act


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(("VLLM::EngineCore",), id="vllm-engine-process"),
        pytest.param(("ray::ServeReplica:llm:CompletionServer",), id="serve-replica-actor"),
        pytest.param(("ray::MapWorker",), id="ray-data-worker"),
    ],
)
def test_a_killed_part_costs_nothing(
    title: tuple[str, ...], tmp_path: Path, undisturbed: dict[str, dict[str, object]]
) -> None:
    killer = when_under_way(tmp_path / "run", kill(*title))
    bootstrap(bootstrap_config(tmp_path / "run"))
    killer.join()
    assert_nothing_lost(tmp_path / "run", undisturbed)


def test_a_killed_driver_is_resumed(
    cluster: Cluster, tmp_path: Path, undisturbed: dict[str, dict[str, object]]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(bootstrap_config(tmp_path / "run").model_dump_json())
    command = [sys.executable, "-m", "metamath_ray.cli", "bootstrap", "--config", str(config)]
    driver = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL)
    wait_until_under_way(tmp_path / "run")
    with pytest.raises(RunDirectoryError, match=f"in use by process {driver.pid}"):
        bootstrap(bootstrap_config(tmp_path / "run"))
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    stored = outcomes(tmp_path / "run")
    assert 0 < len(stored) < len(undisturbed)
    bootstrap(bootstrap_config(tmp_path / "run"))
    assert_nothing_lost(tmp_path / "run", undisturbed)
    after = outcomes(tmp_path / "run")
    assert all(after[item_id] == row for item_id, row in stored.items())
