"""What `make bench` writes: a section a benchmark, its figures against their goals."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
PRINTED = {
    "hardware": {"machine": "x86_64", "num_cpus": 2, "memory_gib": 23.5},
    "versions": {"python": "3.11.7", "vllm": "0.29.0", "pyarrow": "26.0.1"},
    "sizes": [{"rate": 1234.5}],
    "times": 2.5,
    "seconds": 0.25,
    "quick": True,
}


@pytest.fixture
def performance_page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("performance_page")


@pytest.fixture
def run_all(performance_page: ModuleType) -> ModuleType:
    return importlib.import_module("run_all")


def section(module: ModuleType, *figures: dict[str, Any], printed: dict[str, Any] = PRINTED, failure: str = "") -> str:
    benchmark = module.Benchmark(
        script="export", title="Export", figures=tuple(module.Figure(**one) for one in figures)
    )
    result = module.Result(date="2026-11-22", seconds=61.4, printed=printed, failure=failure)
    page: str = module.page([(benchmark, result)])
    return page[page.index("## Export") :]


def test_a_section_says_command_time_date_machine_and_versions(performance_page: ModuleType) -> None:
    said = section(performance_page, {"name": "rows/s", "path": ("sizes", 0, "rate")})
    for part in ("`python benchmarks/export.py --quick`", "61 s", "2026-11-22", "x86_64", "2 logical CPUs", "23.5 GiB"):
        assert part in said
    assert "python 3.11.7, vllm 0.29.0" in said
    assert "| rows/s | 1,234 |  |  |" in said


@pytest.mark.parametrize(
    ("goal", "shown"),
    [
        ({"at_least": 2}, "| 2.5 | ≥ 2 | yes |"),
        ({"at_least": 2.5}, "| 2.5 | ≥ 2.5 | yes |"),
        ({"at_least": 3}, "| 2.5 | ≥ 3 | **no** |"),
        ({"at_most": 3}, "| 2.5 | ≤ 3 | yes |"),
        ({"at_most": 2}, "| 2.5 | ≤ 2 | **no** |"),
        ({}, "| 2.5 |  |  |"),
    ],
)
def test_a_goal_is_met_or_not(performance_page: ModuleType, goal: dict[str, float], shown: str) -> None:
    assert shown in section(performance_page, {"name": "times", "path": ("times",), "form": ".1f", **goal})


@pytest.mark.parametrize("path", [("rivals", "theirs"), ("sizes", 1), ("times", "deeper"), ("quick",), ("versions",)])
def test_what_was_not_measured_meets_no_goal(performance_page: ModuleType, path: tuple[str | int, ...]) -> None:
    assert "| x | – | ≥ 1 |  |" in section(performance_page, {"name": "x", "path": path, "at_least": 1})


def test_a_benchmark_that_failed_says_so_and_shows_no_figures(performance_page: ModuleType) -> None:
    said = section(performance_page, {"name": "x", "path": ("x",)}, printed={}, failure="exit code 1")
    assert "**failed**: exit code 1" in said
    assert "|" not in said


def test_every_listed_benchmark_is_a_script_that_takes_its_arguments(run_all: ModuleType) -> None:
    for benchmark in run_all.BENCHMARKS:
        text = (BENCHMARKS / f"{benchmark.script}.py").read_text()
        assert all(argument in text for argument in benchmark.arguments if argument.startswith("-"))


def test_a_result_that_is_kept_is_read_back(run_all: ModuleType, tmp_path: Path) -> None:
    benchmark = run_all.BENCHMARKS[0]
    assert run_all.kept_result(tmp_path, benchmark) is None
    kept = {"date": "2026-11-22", "seconds": 3.0, "printed": PRINTED, "failure": ""}
    (tmp_path / f"{benchmark.script}.json").write_text(json.dumps(kept))
    assert run_all.kept_result(tmp_path, benchmark).printed == PRINTED


def test_the_page_in_the_repository_is_of_the_benchmarks_that_there_are(run_all: ModuleType) -> None:
    page = (BENCHMARKS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## (.+)$", page, re.MULTILINE)) <= {one.title for one in run_all.BENCHMARKS}
