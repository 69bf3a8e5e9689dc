"""A budget that is reached over real Ray, with an engine that answers by script and notes what it was asked."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metamath_ray.capacity import Budget
from metamath_ray.config import RayConfig
from metamath_ray.distributed.bootstrap import BootstrapRunner, BootstrapRunnerFactory, draw_all, stored_counts
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.driving import Spending
from metamath_ray.distributed.observer import Silent
from metamath_ray.embedded import checkpoint_path
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.inference.scripted import ScriptedEngine
from metamath_ray.storage import Manifest, RunDirectory, item_to_row
from tests.integration.conftest import bootstrap_config
from tests.records import make_item

NUM_ITEMS = 96
IN_FLIGHT = 8
ANSWER = "The answer is: 3"


@dataclass(frozen=True, kw_only=True)
class ScriptedFactory(BootstrapRunnerFactory):
    """Builds a runner whose engine leaves a file for each request."""

    asked: Path

    def __call__(self) -> BootstrapRunner:
        def reply(request: CompletionRequest) -> str:
            del request
            return ANSWER

        def delay(request: CompletionRequest) -> float:
            (self.asked / uuid.uuid4().hex).touch()
            return 0.2 + request.seed % 10 / 20

        engine = ScriptedEngine(reply, delay_seconds=delay)
        return BootstrapRunner(self.config, model_path=self.model_path, engine=engine)


class Watcher(Silent):
    """Notes what it is told, and how many requests were begun by then."""

    def __init__(self, asked: Path) -> None:
        self.asked = asked
        self.said: list[tuple[str, int]] = []

    def notice(self, line: str) -> None:
        self.said.append((line, num_files(self.asked)))


def num_files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def scripted_factory(folder: Path) -> ScriptedFactory:
    """A run in `run`, whose requests are files in `asked`."""
    (folder / "asked").mkdir()
    execution = {"rows_in_flight": IN_FLIGHT, "batch_size": 4, "flush_seconds": 0.2, "retry_budget_seconds": 400}
    config = bootstrap_config(folder / "run", execution=execution)
    return ScriptedFactory(
        config=config, model_path=str(checkpoint_path("teacher")), application="", asked=folder / "asked"
    )


@pytest.fixture
def factory(tmp_path: Path) -> Iterator[ScriptedFactory]:
    with connected(RayConfig(), num_cpus=3, logs=tmp_path / "logs"):
        yield scripted_factory(tmp_path)


def test_what_is_in_flight_at_the_budget_is_stored_and_nothing_is_asked_twice(factory: ScriptedFactory) -> None:
    run, watcher = RunDirectory(factory.config.run_directory), Watcher(factory.asked)
    run.write_manifest(Manifest(content={}, configuration={}))
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
    budget = Budget(tokens=1500, money=None, price_per_million_tokens=None, price_per_hour=None)
    draw_all(run, factory, retry_failed=False, observer=watcher, spending=Spending(budget, [run]))
    [(line, num_asked_then)] = watcher.said
    num_asked = num_files(factory.asked)
    assert line.startswith("budget reached: 1,")
    assert num_asked - num_asked_then <= IN_FLIGHT
    assert len(run.finished_ids()) == num_asked < NUM_ITEMS
    assert run.read_manifest().stages["bootstrap"]["num_tokens"] == stored_counts(run).num_tokens
    draw_all(run, factory, retry_failed=False, observer=watcher)
    assert len(run.finished_ids()) == num_files(factory.asked) == NUM_ITEMS
