"""What every system of benchmarks/bootstrap.py is asked, and how their speed is read."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
NUM_ITEMS = 6


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bootstrap_requests")


def test_neither_start_up_nor_the_last_items_count_towards_the_steady_rate(requests: ModuleType) -> None:
    marks = [(100.0, 0), (160.0, 10), (161.0, 20), (162.0, 50), (163.0, 80), (190.0, 100)]
    assert requests.steady_rate(marks, 3_000) == pytest.approx(70 / 3 * 30)


def test_the_rivals_are_asked_what_the_bootstrap_asks(requests: ModuleType, tmp_path: Path) -> None:
    requests.write_requests(tmp_path, requests.bootstrap_config(tmp_path, NUM_ITEMS))
    rows = requests.read_requests(tmp_path)
    assert len({row["parameters"]["seed"] for row in rows}) == NUM_ITEMS
    assert len({tuple(row["token_ids"]) for row in rows}) == NUM_ITEMS / requests.SAMPLES_A_QUESTION
    assert all(len(row["token_ids"]) + row["parameters"]["max_tokens"] <= 512 for row in rows)
