"""What starting costs: `import metamath_ray.grading`, and `metamath-ray --help`, each in a fresh interpreter.

They take turns with an interpreter that does nothing; the first round warms the disk's cache up and does not count. A
last start of each lists what it imported, for it must load none of the packages that a command may not need. Prints a
table and, as its last line, one JSON object.

    python benchmarks/imports.py [--rounds N] [--quick]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from metamath_ray.storage.manifest import hardware, versions

STARTS = {
    "python": ["-c", "pass"],
    "import metamath_ray.grading": ["-c", "import metamath_ray.grading"],
    "metamath-ray --help": ["-m", "metamath_ray.cli", "--help"],
}
GOALS = {"import metamath_ray.grading": 0.3, "metamath-ray --help": 0.6}
"""In seconds, the interpreter's own start included."""
HEAVY = frozenset({"datasets", "deepspeed", "fastapi", "math_verify", "matplotlib", "numpy", "openai", "pyarrow"}) | {
    "pydantic", "ray", "sympy", "torch", "transformers", "vllm",
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="rounds that count")
    parser.add_argument("--quick", action="store_true", help="9 rounds")
    given = parser.parse_args()
    figures = measure(9 if given.quick else given.rounds)
    show(figures)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def measure(num_rounds: int) -> dict[str, Any]:
    """Start each in turn; return its seconds, and the heavy packages among what it imported."""
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for number in range(num_rounds + 1):
        for name, arguments in STARTS.items():
            began = time.perf_counter()
            start(arguments)
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {"rounds": num_rounds, "starts": {name: described(name, taken) for name, taken in seconds.items()}}


def described(name: str, seconds: list[float]) -> dict[str, Any]:
    """Return the figures of one start."""
    imported = imports(STARTS[name])
    return {
        "median_seconds": round(statistics.median(seconds), 3),
        "lowest_seconds": round(min(seconds), 3),
        "highest_seconds": round(max(seconds), 3),
        "goal_seconds": GOALS.get(name),
        "modules": len(imported),
        "heavy": sorted(HEAVY & {module.partition(".")[0] for module in imported}),
    }


def start(arguments: list[str], *options: str) -> str:
    """Run an interpreter to its end; return what it said on standard error."""
    command = [sys.executable, *options, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def imports(arguments: list[str]) -> list[str]:
    """Return the names of the modules that a start imports."""
    lines = start(arguments, "-X", "importtime").splitlines()
    return [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")][1:]


def show(figures: dict[str, Any]) -> None:
    """Print the figures."""
    title = f"Seconds of a start, median of {figures['rounds']} (ends)"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "seconds", "spread", "goal", "modules", "heavy"):
        table.add_column(column, justify="left" if column in ("", "heavy") else "right")
    for name, found in figures["starts"].items():
        table.add_row(
            name,
            f"{found['median_seconds']:.3f}",
            f"{found['lowest_seconds']:.3f} – {found['highest_seconds']:.3f}",
            f"{found['goal_seconds']}" if found["goal_seconds"] else "",
            f"{found['modules']:,}",
            ", ".join(found["heavy"]) or "none",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
