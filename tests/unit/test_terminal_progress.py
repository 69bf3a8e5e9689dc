"""How far a run is, in lines: where there is no terminal."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from metamath_ray.distributed.items import BlockCounts
from metamath_ray.terminal import TerminalObserver


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("metamath_ray.terminal.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_rate_of_a_stage_leaves_out_the_stages_before(clock: list[float]) -> None:
    written = io.StringIO()
    observer = TerminalObserver(Console(file=written, width=100))
    for stage, start in (("sampling", 0), ("scoring", 500)):
        observer.stage(stage)
        observer.progress(BlockCounts(num_items=start), 600)
        clock[0] += 20
        observer.progress(BlockCounts(num_items=start + 60, num_accepted=3), 600)
    assert written.getvalue().splitlines() == [
        "sampling …",
        "60/600 items · 3.0 items/s · 3 accepted · 180 s left",
        "scoring …",
        "560/600 items · 3.0 items/s · 3 accepted · 13 s left",
    ]
