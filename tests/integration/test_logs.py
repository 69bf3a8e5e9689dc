"""JSON lines of a job over real Ray, and its figures in Ray's Prometheus export."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_budget import NUM_ITEMS

DRIVER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import httpx, ray
from metamath_ray.config import RayConfig
from metamath_ray.distributed.bootstrap import draw_all
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.observer import Silent
from metamath_ray.storage import Manifest, RunDirectory, item_to_row
from tests.integration.test_budget import NUM_ITEMS, scripted_factory
from tests.records import make_item

folder = Path(sys.argv[1])
run, factory = RunDirectory(str(folder / "run")), scripted_factory(folder)
run.write_manifest(Manifest(content={}, configuration={}))
run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
with connected(RayConfig(log_format="json"), num_cpus=3, logs=folder / "logs"):
    draw_all(run, factory, retry_failed=False, observer=Silent())
    port, deadline = ray.nodes()[0]["MetricsExportPort"], time.monotonic() + 60
    while "metamath_items" not in (said := httpx.get(f"http://127.0.0.1:{port}/metrics").text):
        assert time.monotonic() < deadline, "the metrics were not exported"
        time.sleep(1)
    print(said)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a job that logged JSON, and what Ray exported of it."""
    folder = tmp_path_factory.mktemp("job")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", DRIVER, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def worker_lines(folder: Path) -> list[dict[str, Any]]:
    logs = (folder / "logs" / "ray").glob("worker-*.err")
    texts = [line for log in logs for line in log.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in texts if line.startswith("{")]


@pytest.mark.slow
def test_workers_log_what_they_stored_with_ids_and_without_a_text(job: tuple[Path, str]) -> None:
    folder, _ = job
    said = worker_lines(folder)
    stored = [line for line in said if line["message"] == "stored"]
    assert sum(line["num_items"] for line in stored) == NUM_ITEMS
    assert {line["run"] for line in stored} == {str(folder / "run")}
    assert all(line["block"] and line["job_id"] and line["node_id"] for line in stored)
    assert "pears" not in json.dumps(said)


@pytest.mark.slow
def test_figures_of_a_job_are_exported(job: tuple[Path, str]) -> None:
    folder, exported = job
    [line] = [line for line in exported.splitlines() if line.startswith("ray_metamath_items_total{")]
    assert f'run="{folder.name}/run"' in line
    assert 'status="' in line
    assert "ray_metamath_item_tokens_total{" in exported
    assert "ray_metamath_items_in_flight{" in exported
