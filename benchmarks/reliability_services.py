"""What benchmarks/reliability.py breaks of what is real: a training on two workers, the solve service under load."""

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from solve_systems import service, service_config

from metamath_ray.distributed.finetune import finetune
from metamath_ray.training.report import METRICS_FILE
from tests.integration.conftest import SOLVE_CONFIG, cluster_processes
from tests.integration.test_finetune import finetune_config, losses, stage
from tests.integration.test_solve import Load

WAIT_SECONDS = 240
POLL_SECONDS = 0.05
STEPS_A_FAULT = 14
CHECKPOINT_EVERY_STEPS = 4
PARTS = {
    "vLLM's worker": "VLLM::Worker",
    "model replica": "ray::ServeReplica:solve:CompletionServer",
    "ingress replica": "ray::ServeReplica:solve:SolveIngress",
}


def kill_trainer(times: int, chance: Random) -> dict[str, Any]:
    """Kill one of two training workers again and again; each loses the steps since the last checkpoint and takes them.

    Returns:
        The arguments of a `Tally`.
    """
    with tempfile.TemporaryDirectory(prefix="mr-train-") as folder:
        run, num_steps = Path(folder, "run"), STEPS_A_FAULT * (times + 1)
        trainers = {"max_failures": 2 * times, "checkpoint_every_steps": CHECKPOINT_EVERY_STEPS}
        config = finetune_config(run, stages={"generator": stage(num_steps)}, trainers=trainers)
        found: list[float] = []
        killer = threading.Thread(target=lambda: found.extend(_kills(run, times, chance)))
        killer.start()
        finetune(config)
        killer.join()
        steps = len(losses(run))  # fails when a step is missing in between, or there twice
    return {
        "fault": "training worker",
        "unit": "steps",
        "num_items": num_steps,
        "num_lost": num_steps - steps,
        "num_repeated": 0,
        "seconds": found,
    }


def _kills(run: Path, times: int, chance: Random) -> Iterator[float]:
    metrics = run / "generator" / METRICS_FILE
    for _ in range(times):
        _wait_for_step(metrics, _last_step(metrics) + 1)
        time.sleep(chance.uniform(0, 4))
        began = time.monotonic()
        cluster_processes("ray::RayTrainWorker")[0].send_signal(signal.SIGKILL)
        reached = _last_step(metrics)
        _wait_for_step(metrics, reached + 1)
        yield round(time.monotonic() - began, 2)


def _last_step(metrics: Path) -> int:
    lines = metrics.read_text().splitlines(keepends=True) if metrics.is_file() else []
    return max((int(json.loads(line)["step"]) for line in lines if line.endswith("\n")), default=0)


def _wait_for_step(metrics: Path, step: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while _last_step(metrics) < step:
        assert time.monotonic() < deadline, f"step {step} was not reached"
        time.sleep(POLL_SECONDS)


def kill_solve(times: int, chance: Random) -> Iterator[dict[str, Any]]:
    """Kill each part of the service under load; a question that gets neither 200 nor a clean 503 is lost.

    Yields:
        The arguments of a `Tally`, for each part.
    """
    config = service_config(**{name: SOLVE_CONFIG[name] for name in ("generator", "verifier", "sampling")})
    with service(config) as url:
        for part, title in PARTS.items():
            yield _under_load(url, part, partial(_kill, title), times, chance)


def _kill(title: str) -> None:
    """Kill a process whose command line holds the title, as soon as there is one."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := cluster_processes(title)):
        assert time.monotonic() < deadline, f"there is no {title} to kill"
        time.sleep(POLL_SECONDS)
    found[-1].send_signal(signal.SIGKILL)


def _under_load(url: str, part: str, kill: Callable[[], None], times: int, chance: Random) -> dict[str, Any]:
    load = Load(url)
    load.start()
    seconds = []
    for _ in range(times):
        _wait_for_answers(load, len(load.statuses))
        time.sleep(chance.uniform(0, 2))
        began = time.monotonic()
        kill()
        seconds.append(round(_until_answered(load, began), 2))
    load.stop()
    unclean = [status for status in load.statuses if status not in (200, 503)]
    return {
        "fault": f"solve: {part} ({load.statuses.count(503)} × 503)",
        "unit": "questions",
        "num_items": len(load.statuses),
        "num_lost": len(unclean),
        "num_repeated": 0,
        "seconds": seconds,
    }


def _wait_for_answers(load: Load, before: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while load.statuses[before:].count(200) == 0:
        assert time.monotonic() < deadline, "the service answers nothing"
        time.sleep(POLL_SECONDS)


def _until_answered(load: Load, began: float) -> float:
    """Return the seconds until a question is answered that was asked after the one under way at the kill."""
    under_way = len(load.statuses)
    while load.statuses[under_way + 1 :].count(200) == 0:
        assert time.monotonic() - began < WAIT_SECONDS, "the service did not come back"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
