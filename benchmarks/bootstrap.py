"""The bootstrap against the engine that it runs on, and against Ray Data's own pipelines for language models.

* ours: `metamath-ray bootstrap`, vLLM on Ray Serve, from word problems to graded outcomes in parquet;
* vllm.LLM.generate: the same prompts, parameters and seeds put straight to vLLM; nothing is graded or written;
* Ray Data over Serve: the same through `ServeDeploymentProcessorConfig` to parquet, nothing graded;
* Ray Data, its own engine: the same through `vLLMEngineProcessorConfig`, likewise.

All have the embedded teacher with the same arguments. Items are answer augmentation alone, one request each, so that
all prompts are known before; every system is a fresh process, one works at a time, and rounds take another order each.

tokens/s is the steady state, start-up left out on all sides: items ended a second from the first moment when a tenth of
them had ended until four fifths had, times the tokens of an item. An item of ours ends when the driver hears that its
block is in parquet; one of `LLM.generate` when it returns from the engine; Ray Data's: see `bootstrap_systems.py`.
`whole run` is the process from its start to its end, imports and start-up included.

With `--shapes`, instead, ours alone over rows in flight and batch sizes on one engine, drawn with `--chart`.
Prints a table and, as its last line, one JSON object.

    python benchmarks/bootstrap.py [--quick] [--items N] [--rounds N] [--shapes [--chart FILE]]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap_requests import bootstrap_config, steady_rate, write_requests
from bootstrap_shapes import draw_shapes, measure_shapes
from bootstrap_systems import BARE, OURS, PRINTED, SYSTEMS, run_system
from rich.console import Console
from rich.table import Table
from rounds import spread

from metamath_ray.config import ExecutionConfig
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.terminal_quiet import quiet

ITEMS, QUICK_ITEMS = 2_000, 1_000
ROUNDS = 2
TIME_LIMIT_SECONDS = 1800
"""Of one system in one round."""
SAID_LINES = 15
WIDTH = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One system in one round.

    Attributes:
        rate: Tokens a second in the steady state.
        first_seconds: From the start of the process until an item had ended.
        seconds: From its start to its end.
    """

    rate: float
    first_seconds: float
    seconds: float
    num_tokens: int
    texts: dict[str, str]


def main() -> None:
    """Measure and print."""
    given = _arguments()
    if given.system:
        name, folder = given.system
        print(json.dumps(run_system(name, Path(folder), given.items)))
        return
    num_items = given.items or (QUICK_ITEMS if given.quick else ITEMS)
    num_rounds = given.rounds or (1 if given.quick else ROUNDS)
    figures: dict[str, Any] = {"items": num_items, "rounds": num_rounds}
    if given.shapes:
        figures["shapes"] = shapes(num_items, num_rounds, given.chart)
    else:
        runs, failures = in_turns(num_items, num_rounds)
        figures["systems"] = show(runs, failures, num_items)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def in_turns(num_items: int, num_rounds: int) -> tuple[dict[str, list[Run]], dict[str, str]]:
    """Run every system in every round, each round in another order; a rival that fails once is out, and why."""
    runs: dict[str, list[Run]] = {name: [] for name in SYSTEMS}
    failures: dict[str, str] = {}
    for number in range(num_rounds):
        first = number % len(SYSTEMS)
        for name in [*SYSTEMS, *SYSTEMS][first : first + len(SYSTEMS)]:
            if name in failures:
                continue
            try:
                runs[name].append(once(name, num_items))
                said = f"{runs[name][-1].rate:,.0f} tokens/s"
            except ChildProcessError as error:
                if name in (OURS, BARE):
                    raise
                said = failures[name] = str(error)
            print(f"round {number + 1}, {name}: {said}", file=sys.stderr, flush=True)
    return runs, failures


def once(name: str, num_items: int) -> Run:
    """Run a system in a process of its own.

    Raises:
        ChildProcessError: It failed; with the last that it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_requests(Path(folder), bootstrap_config(Path(folder), num_items))
        began = time.time()
        command = [sys.executable, __file__, "--items", str(num_items), "--system", name, folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_SECONDS, check=False)
        seconds = time.time() - began
        if done.returncode:
            print("\n".join(done.stderr.splitlines()[-SAID_LINES:]), file=sys.stderr)
            raise ChildProcessError((done.stderr.strip() or "it said nothing").splitlines()[-1])
        found = json.loads(done.stdout.splitlines()[-1])
        texts = json.loads(Path(folder, PRINTED).read_text(encoding="utf-8"))
    marks, num_tokens = found["marks"], found["num_tokens"]
    assert marks[-1][1] == len(texts) == num_items
    first = next(ended for ended, number in marks if number)
    return Run(
        rate=steady_rate(marks, num_tokens),
        first_seconds=first - began,
        seconds=seconds,
        num_tokens=num_tokens,
        texts=texts,
    )


def show(runs: dict[str, list[Run]], failures: dict[str, str], num_items: int) -> dict[str, Any]:
    """Print and return the figures."""
    table = Table(title=f"{num_items:,} items a run, steady state", title_justify="left", box=None)
    whole = Table(title="The whole run, start-up included", title_justify="left", box=None)
    for column in ("", "tokens/s", "spread", "ours / it", "spread", "tokens an item", "texts as bare"):
        table.add_column(column, justify="right" if column else "left")
    for column in ("", "seconds", "spread", "ours / it", "spread", "first item after, s"):
        whole.add_column(column, justify="right" if column else "left")
    figures: dict[str, Any] = {}
    for name, found in runs.items():
        if name in failures:
            figures[name] = {"failed": failures[name]}
            table.add_row(name, "failed", failures[name][:WIDTH])
            continue
        one = figures[name] = described(found, runs)
        table.add_row(name, *_cells(one["tokens_per_second"], ",.0f"), *_cells(one["ours_over_it"], ".3f"),
                      f"{one['tokens_an_item']:.2f}", f"{one['same_texts']:.1%}")  # fmt: skip
        whole.add_row(name, *_cells(one["seconds"], ".1f"), *_cells(one["our_seconds_over_its"], ".3f"),
                      f"{one['first_item_seconds']['median']:.1f}")  # fmt: skip
    Console(width=WIDTH).print(table, "", whole, "")
    return figures


def described(found: Sequence[Run], runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return a system's figures; against ours, round by round."""
    pairs = list(zip(runs[OURS], found, strict=True))
    same = [text == run.texts.get(seed) for run, known in zip(found, runs[BARE], strict=True)
            for seed, text in known.texts.items()]  # fmt: skip
    return {
        "tokens_per_second": spread([run.rate for run in found]),
        "seconds": spread([run.seconds for run in found]),
        "first_item_seconds": spread([run.first_seconds for run in found]),
        "ours_over_it": spread([ours.rate / its.rate for ours, its in pairs]),
        "our_seconds_over_its": spread([ours.seconds / its.seconds for ours, its in pairs]),
        "tokens_an_item": round(statistics.mean(run.num_tokens / len(run.texts) for run in found), 3),
        "same_texts": round(statistics.mean(same), 4),
    }


def shapes(num_items: int, num_rounds: int, chart: Path | None) -> list[dict[str, Any]]:
    """Print, draw and return our speed at each number of rows in flight and batch size."""
    with quiet(None), tempfile.TemporaryDirectory() as folder:
        rates = measure_shapes(Path(folder), num_items, num_rounds)
    table = Table(title=f"tokens/s, {num_items:,} items", title_justify="left", box=None)
    batch_sizes = sorted({batch_size for _, batch_size in rates})
    for column in ("rows in flight", *(f"batch {size}" for size in batch_sizes)):
        table.add_column(column, justify="right")
    for rows in sorted({rows for rows, _ in rates}):
        cells = [spread(rates[rows, size]) for size in batch_sizes]
        table.add_row(str(rows), *(f"{one['median']:,.0f} ({one['lowest']:,.0f} – {one['highest']:,.0f})"
                                   for one in cells))  # fmt: skip
    default = ExecutionConfig()
    kept = statistics.median(rates[default.rows_in_flight, default.batch_size])
    best = max(rates, key=lambda shape: statistics.median(rates[shape]))
    share = kept / statistics.median(rates[best])
    Console(width=WIDTH).print(
        table, f"default ({default.rows_in_flight}, {default.batch_size}): {share:.1%} of the best, {best}"
    )
    if chart:
        chart.write_text(draw_shapes(rates), encoding="utf-8")
    return [
        {"rows_in_flight": rows, "batch_size": size, "tokens_per_second": spread(found)}
        for (rows, size), found in rates.items()
    ]


def _cells(found: dict[str, float], form: str) -> tuple[str, str]:
    return f"{found['median']:{form}}", f"{found['lowest']:{form}} – {found['highest']:{form}}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 items, one round")
    parser.add_argument("--items", type=int, help="so many items; 2,000 by default")
    parser.add_argument("--rounds", type=int, help="so many rounds; 2 by default")
    parser.add_argument("--shapes", action="store_true", help="rows in flight and batch sizes instead of rivals")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw them, as docs/bootstrap_rows_in_flight.svg")
    parser.add_argument("--system", nargs=2, metavar=("NAME", "FOLDER"), help="run one in this process, and no more")
    return parser.parse_args()


if __name__ == "__main__":
    main()
