"""What benchmarks/reliability.py breaks, and how: a bootstrap, its engine, its nodes and its disk."""

import os
import re
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.integration.command import Bootstrap
from tests.integration.conftest import cluster_processes
from tests.integration.heads import Head, end, free_ports, ray_node
from tests.integration.scripted_server import started

MEAN_SECONDS = 0.5
"""Of a completion of the engine without a model."""
ROWS_IN_FLIGHT = 8
WORKER = "ray::MapWorker"
CPUS_OF_NODE = 3


class Engine:
    """An OpenAI-compatible server without a model."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)
        self.start()

    def start(self) -> None:
        """Start it, at the address that it always had."""
        self._process = started(self.port, MEAN_SECONDS)

    def kill(self) -> None:
        """End it in the middle of what it does."""
        self._process.kill()
        end(self._process)


class Nodes:
    """Two nodes that work beside a head that does not."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._up: dict[int, ExitStack] = {}
        for _ in range(2):
            self.start()

    def start(self) -> None:
        """Start one more."""
        stack = ExitStack()
        process = stack.enter_context(ray_node(self._head, f"--num-cpus={CPUS_OF_NODE}"))
        self._up[process.pid] = stack

    def kill_the_working_one(self) -> None:
        """End all processes of the node that the item worker is on, at once."""
        worker = cluster_processes(WORKER)[0]
        pid = next(parent.pid for parent in worker.parents() if parent.pid in self._up)
        node = psutil.Process(pid)
        for process in [*node.children(recursive=True), node]:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        self._up.pop(pid).close()

    def close(self) -> None:
        """End them all."""
        for stack in self._up.values():
            stack.close()


def bootstrap(head: Head, folder: Path, engine: Engine, *, num_problems: int) -> Bootstrap:
    """Start a bootstrap of many short items."""
    asked: dict[str, Any] = {
        "kind": "openai",
        "base_url": f"http://127.0.0.1:{engine.port}/v1",
        "model": "scripted",
        "tokenizer": "embedded:teacher",
    }
    execution = {"rows_in_flight": ROWS_IN_FLIGHT, "batch_size": ROWS_IN_FLIGHT, "flush_seconds": 0.5}
    source = {"format": "word_problems", "split": "train", "limit": num_problems}
    return Bootstrap(head, folder, source=source, engine=asked, execution=execution)


def kill_driver(bootstrap: Bootstrap) -> None:
    """Kill the driver, start the same command again."""
    bootstrap.kill()
    bootstrap.start()


def kill_worker() -> None:
    """Kill the actor that runs the items."""
    cluster_processes(WORKER)[0].send_signal(signal.SIGKILL)


def kill_engine(engine: Engine, chance: Random) -> None:
    """Kill the engine; another one is there within two seconds."""
    engine.kill()
    time.sleep(chance.uniform(0, 2))
    engine.start()


def kill_node(nodes: Nodes) -> None:
    """Kill a node with all that is on it; another one joins."""
    nodes.kill_the_working_one()
    nodes.start()


def fill_disk(bootstrap: Bootstrap) -> None:
    """Fill the disk, see the run end, make room, resume."""
    ballast = bootstrap.folder.parent / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(os.urandom(2**16))
    said = bootstrap.refusal()
    assert "No space left on device" in said, said
    ballast.unlink()
    bootstrap.start()


def tear_file(bootstrap: Bootstrap, chance: Random) -> None:
    """Cut a stored file short as a crash of the machine might, see it named, delete it, resume."""
    name = chance.choice(bootstrap.run.outcome_shards())
    torn = Path(bootstrap.run.path("outcomes", f"{name}.parquet"))
    bootstrap.kill()
    os.truncate(torn, int(chance.random() * torn.stat().st_size))
    bootstrap.start()
    said = bootstrap.refusal()
    assert re.search(rf"{name}\.parquet: damaged .* delete it", said), said
    torn.unlink()
    bootstrap.start()
