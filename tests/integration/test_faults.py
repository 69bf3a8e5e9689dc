"""What must not be lost: kill the engine, the replica, a worker and the driver in the middle of a run."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory
from tests.integration.conftest import (
    Cluster,
    asked,
    bootstrap_config,
    cluster_processes,
    outcomes,
    planned_ids,
    share_of_equal_texts,
)

WAIT_SECONDS = 240
SAME_TEXTS = 0.8
"""As in test_bootstrap; a kill changes the batches of everything that follows it."""


def assert_nothing_lost(run_directory: Path, undisturbed: Path) -> None:
    found, expected = outcomes(run_directory), outcomes(undisturbed)
    assert found.keys() == planned_ids(run_directory) == expected.keys()
    assert not [row["error"] for row in found.values() if row["status"] == "failed"]
    same = [item_id for item_id in found if found[item_id]["query"] == expected[item_id]["query"]]
    assert all(asked(found[item_id]) == asked(expected[item_id]) for item_id in same)
    agreement = share_of_equal_texts(found, expected)
    print(f"equal texts: {agreement:.1%} of {len(found)}")
    assert agreement >= SAME_TEXTS


def wait_until_under_way(run_directory: Path) -> int:
    """Wait for the first stored outcomes; return how many there are."""
    run, deadline = RunDirectory(str(run_directory)), time.monotonic() + WAIT_SECONDS
    while not run.outcome_shards():
        assert time.monotonic() < deadline, "the run stored nothing"
        time.sleep(0.02)
    return len(run.finished_ids())


class Killer(threading.Thread):
    """Kills a part of the cluster as soon as a run has stored its first outcomes."""

    def __init__(self, title: str, how: signal.Signals, run_directory: Path) -> None:
        super().__init__()
        self.title, self.how = title, how
        self.run_directory = run_directory
        self.num_stored_at_kill: int | None = None

    def run(self) -> None:
        self.num_stored_at_kill = wait_until_under_way(self.run_directory)
        cluster_processes(self.title)[0].send_signal(self.how)


@pytest.mark.parametrize(
    ("title", "how"),
    [
        pytest.param("VLLM::Worker", signal.SIGKILL, id="vllm-worker-process"),
        pytest.param("VLLM::EngineCore", signal.SIGTERM, id="vllm-engine-asked-to-stop"),  # it says "abort" to all
        pytest.param(
            "ray::ServeReplica:llm:CompletionServer", signal.SIGKILL, id="serve-replica-actor", marks=pytest.mark.slow
        ),
        pytest.param("ray::MapWorker", signal.SIGKILL, id="ray-data-worker"),
    ],
)
def test_a_killed_part_costs_nothing(title: str, how: signal.Signals, tmp_path: Path, undisturbed: Path) -> None:
    killer = Killer(title, how, tmp_path / "run")
    killer.start()
    bootstrap(bootstrap_config(tmp_path / "run"))
    killer.join()
    assert killer.num_stored_at_kill is not None, f"there was no {title} to kill"
    assert killer.num_stored_at_kill < len(planned_ids(undisturbed)), "the run was over before the kill"
    assert_nothing_lost(tmp_path / "run", undisturbed)


def test_a_killed_driver_is_resumed(cluster: Cluster, tmp_path: Path, undisturbed: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(bootstrap_config(tmp_path / "run").model_dump_json())
    command = [sys.executable, "-m", "metamath_ray.cli", "bootstrap", "--config", str(config)]
    driver = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_under_way(tmp_path / "run")
        with pytest.raises(RunDirectoryError, match=f"in use by process {driver.pid}"):
            bootstrap(bootstrap_config(tmp_path / "run"))
    finally:
        driver.kill()
        driver.wait()
    stored = outcomes(tmp_path / "run")
    assert 0 < len(stored) < len(planned_ids(undisturbed))
    bootstrap(bootstrap_config(tmp_path / "run"))
    assert_nothing_lost(tmp_path / "run", undisturbed)
    after = outcomes(tmp_path / "run")
    assert all(after[item_id] == row for item_id, row in stored.items())
