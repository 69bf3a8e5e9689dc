"""The export of a bootstrap run, deduplication and decontamination included: rows a second, memory, how both grow.

Rows are the size of MetaMathQA's: questions and solutions of GSM8K's and MATH's training sets with other numbers and
borrowed sentences, checked against both test sets (`--data`, METAMATH_RAY_DATA or ../shared/data; without them, the
embedded world's splits). Known shares of the rows are copies of earlier rows and of test questions.

* growth: a run directory with 100K, 400K and 1.6M outcomes in shards of 64, exported as `metamath-ray export` does, in
  a process of its own;
* rivals: the decisions alone, on the same rows in turn, chunk by chunk, against datasketch's MinHashLSH and datatrove's
  n-gram filter, where installed; what each finds of what was planted, and what it takes out besides.

Prints tables and, as its last line, one JSON object.

    python benchmarks/export.py [--quick] [--rows N …] [--compared N]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from export_rivals import OURS, RIVAL_OF, systems
from export_rows import Corpus, Row, load_corpus, outcome_of
from rich.console import Console
from rich.table import Table

from metamath_ray.config import ExecutionConfig, ExportConfig
from metamath_ray.export.run_export import export_run
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.types import content_id

ROOT = Path(__file__).resolve().parents[1]
SIZES, QUICK_SIZES = (100_000, 400_000, 1_600_000), (4_000, 16_000, 64_000)
COMPARED, QUICK_COMPARED = 100_000, 8_000
ROWS_AT_A_TIME = 2_000
SHARD_ROWS = ExecutionConfig().batch_size
TESTS_FILE = "tests.jsonl"


def main() -> None:
    """Measure and print."""
    given = _arguments()
    if given.write:
        write_run(load_corpus(given.data), *given.write)
        return
    if given.export:
        print(json.dumps(export_once(given.export)))
        return
    sizes = given.rows or (QUICK_SIZES if given.quick else SIZES)
    compared = (QUICK_COMPARED if given.quick else COMPARED) if given.compared is None else given.compared
    figures: dict[str, Any] = {"real_data": given.data.is_dir(), "sizes": growth(given.data, sizes)}
    if compared:
        figures["rivals"] = compare(load_corpus(given.data), compared)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def growth(data: Path, sizes: Sequence[int]) -> list[dict[str, float]]:
    """Write and export each size in processes of its own; print and return what the export takes."""
    table = Table(title="Export of a run", title_justify="left", box=None)
    for column in ("outcomes", "seconds", "rows/s", "µs a row", "peak MiB", "of it texts and index, MiB", "exported"):
        table.add_column(column, justify="right")
    figures = []
    for num_rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            _itself(data, "--write", folder, str(num_rows))
            found = json.loads(_itself(data, "--export", folder).splitlines()[-1])
        figures.append(found)
        print(f"{num_rows:,} outcomes: {found['seconds']:.1f} s", file=sys.stderr, flush=True)
        table.add_row(
            f"{num_rows:,}",
            f"{found['seconds']:.1f}",
            f"{found['rows_per_second']:,}",
            f"{1e6 * found['processor_seconds'] / num_rows:.0f}",
            f"{found['peak_mib']:,}",
            f"{found['peak_mib'] - found['started_mib']:,}",
            f"{found['exported']:,}",
        )
    Console().print(table, "")
    return figures


def _itself(data: Path, *arguments: str) -> str:
    command = [sys.executable, __file__, "--data", str(data), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def write_run(corpus: Corpus, folder: str, num_rows: str) -> None:
    """Write a run directory as a bootstrap leaves it, and the test questions beside it."""
    run, total = RunDirectory(folder), int(num_rows)
    with Path(folder, TESTS_FILE).open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"question": text, "answer": "0"}) + "\n" for _, text in corpus.tests)
    run.write_manifest(Manifest(content={}, configuration={}))
    outcomes = (outcome_of(row, number) for number, row in enumerate(corpus.rows(total)))

    def stored() -> Iterator[dict[str, Any]]:
        for shard in range(0, total, SHARD_ROWS):
            chunk = list(islice(outcomes, SHARD_ROWS))
            rows = [
                outcome_to_row(outcome, position=shard + place, prompt_set_hash="", seconds=0.0)
                for place, outcome in enumerate(chunk)
            ]
            run.write_outcomes(rows, content_id((shard,)))
            for place, outcome in enumerate(chunk):
                yield item_to_row(outcome.item, shard + place)

    run.write_plan(stored())


def export_once(folder: str) -> dict[str, float]:
    """Export a run; return what that took."""
    tests = {"format": "jsonl", "path": str(Path(folder, TESTS_FILE)), "split": "test", "name": "tests"}
    config = ExportConfig.model_validate({"decontaminate_against": [tests], "backward_check": False})
    started = _peak_mib()
    wall, processor = time.perf_counter(), time.process_time()
    summary = export_run(RunDirectory(folder), config)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    num_rows = summary.num_exported + summary.num_rejected
    return {
        "outcomes": num_rows,
        "exported": summary.num_exported,
        "seconds": round(wall, 2),
        "processor_seconds": round(processor, 2),
        "rows_per_second": round(num_rows / wall),
        "started_mib": round(started),
        "peak_mib": round(_peak_mib()),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(corpus: Corpus, num_rows: int) -> dict[str, Any]:
    """Give the same rows to each system in turn; print and return their speed, and what they take out."""
    removers, rows = systems(corpus.tests), corpus.rows(num_rows)
    seconds: dict[str, list[float]] = {name: [] for name in removers}
    removed: dict[str, Counter[str]] = {name: Counter() for name in removers}
    planted: Counter[str] = Counter()
    while chunk := list(islice(rows, ROWS_AT_A_TIME)):
        planted.update(map(_kind, chunk))
        for name, remove in removers.items():
            began = time.perf_counter()
            flags = remove(chunk)
            seconds[name].append((time.perf_counter() - began) / len(chunk))
            removed[name].update(_kind(row) for row, is_removed in zip(chunk, flags, strict=True) if is_removed)
    figures = {name: _speed(taken, seconds.get(RIVAL_OF.get(name, name), taken)) for name, taken in seconds.items()}
    for name, found in figures.items():
        found["removed"] = {kind: round(removed[name][kind] / planted[kind], 4) for kind in sorted(planted)}
    _show_speed(figures, num_rows)
    _show_removed(figures, planted)
    return {"rows": num_rows, "planted": dict(planted), "systems": figures}


NOT_PLANTED = "nothing wrong"


def _kind(row: Row) -> str:
    return row.planted.value if row.planted else NOT_PLANTED


def _speed(seconds: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    ratios = [theirs / mine for theirs, mine in zip(seconds, ours, strict=True)]
    return {
        "rows_per_second": round(1 / statistics.median(seconds)),
        "lowest": round(1 / max(seconds)),
        "highest": round(1 / min(seconds)),
        "ours_is_times_as_fast": round(statistics.median(ratios), 2),
    }


def _show_speed(figures: dict[str, Any], num_rows: int) -> None:
    table = Table(title=f"The decisions alone, {num_rows:,} rows in turn", title_justify="left", box=None)
    for column in ("", "rows/s", "spread", "ours is times as fast"):
        table.add_column(column, justify="right" if column else "left")
    for name, found in figures.items():
        spread = f"{found['lowest']:,} – {found['highest']:,}"
        table.add_row(name, f"{found['rows_per_second']:,}", spread, f"{found['ours_is_times_as_fast']:.1f}")
    Console(width=120).print(table, "")


def _show_removed(figures: dict[str, Any], planted: Counter[str]) -> None:
    table = Table(title="Taken out, % of what was planted", title_justify="left", box=None)
    table.add_column("")
    table.add_column("rows", justify="right")
    for name in figures:
        table.add_column(name.partition(",")[0] if name != OURS else name, justify="right")
    for kind, count in sorted(planted.items()):
        shares = [f"{100 * found['removed'][kind]:.1f}" for found in figures.values()]
        table.add_row(kind, f"{count:,}", *shares)
    Console(width=150).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("METAMATH_RAY_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real data")
    parser.add_argument("--quick", action="store_true", help="4K, 16K and 64K outcomes; under two minutes")
    parser.add_argument("--rows", type=int, nargs="+", help="these numbers of outcomes")
    parser.add_argument("--compared", type=int, help="rows for the rivals; 0 for none")
    parser.add_argument("--write", nargs=2, metavar=("FOLDER", "ROWS"), help="write one run, and no more")
    parser.add_argument("--export", metavar="FOLDER", help="export one run in this process, and no more")
    return parser.parse_args()


if __name__ == "__main__":
    main()
