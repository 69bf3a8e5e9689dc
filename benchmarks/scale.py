"""How a bootstrap grows: from 1,000 to 1,000,000 items, on 256 simulated replicas, with the code that runs real ones.

* replay: plan, workers, retries, rendering, grading and storage are the product's; the engine is simulated, and so is
  time (`scale_replicas.py`): how busy the replicas are, processor time of the workers, size of plan and outcomes;
* resume: a new process reads the finished run, as the next start does: time and memory;
* driver: real Ray, one worker whose items are done at once: processor time and memory of the driver and of the worker.

Each size and part has a process of its own. Prints tables and, as its last line, one JSON object.

    python benchmarks/scale.py [--quick] [--items N …] [--driven N …] [--replicas N] [--base S] [--per-sequence S]
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from scale_driver import SAMPLING, LightRunner, drive, peak_mib
from scale_replicas import LatencyModel, Replica, SimulatedEngine, VirtualTimeLoop

from metamath_ray.augmentation import plan_items
from metamath_ray.config import BootstrapConfig
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.distributed.bootstrap import BootstrapRunner, stored_counts
from metamath_ray.distributed.items import BlockCounts, ItemsJob, ItemWorker
from metamath_ray.distributed.plan_source import PlanSource
from metamath_ray.inference.models import resolve_model
from metamath_ray.storage import RunDirectory, item_to_row
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.types import Augmentation, WorkItem

ITEMS, QUICK_ITEMS = (1_000, 10_000, 100_000), (1_000, 10_000)
REPEATS = dict.fromkeys((Augmentation.ANSWER_AUGMENTATION, Augmentation.REPHRASING), 16) | {Augmentation.FOBAR: 4}
"""About 40 items a problem. Self-Verification costs what rephrasing does, but no invented rewrite would pass it."""
CONFIG = BootstrapConfig.model_validate(
    {
        "source": {"format": "word_problems"},
        "engine": {"kind": "serve", "model": "embedded:teacher"},
        "sampling": {stage: {"max_tokens": sampling.max_tokens} for stage, sampling in SAMPLING.items()},
    }
)
MODEL_PATH = resolve_model(CONFIG.engine.model)

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Replicas, and workers enough to fill them.

    Attributes:
        is_light: The workers neither render prompts nor grade solutions.
    """

    latency: LatencyModel
    num_replicas: int
    is_light: bool = False

    @property
    def num_workers(self) -> int:
        """As many as it takes to have a row in flight for each sequence."""
        rows = self.num_replicas * self.latency.max_num_seqs
        return -(-rows // CONFIG.execution.rows_in_flight)


def main() -> None:
    """Measure and print."""
    given = _arguments()
    latency = LatencyModel(base=given.base, per_sequence=given.per_sequence, max_num_seqs=given.max_num_seqs)
    fleet = Fleet(latency=latency, num_replicas=given.replicas, is_light=given.light)
    if given.only:
        part, folder, num_items = given.only
        print(json.dumps(PARTS[part](folder, int(num_items), fleet)))
        return
    sizes = given.items or (QUICK_ITEMS if given.quick else ITEMS)
    driven = given.driven if given.driven is not None else sizes
    figures: Figures = {"replicas": given.replicas, "workers": fleet.num_workers, "sizes": {}}
    for num_items in sorted({*sizes, *driven}):
        parts = [*(["replay", "resume"] if num_items in sizes else []), *(["drive"] if num_items in driven else [])]
        figures["sizes"][str(num_items)] = {}
        with tempfile.TemporaryDirectory() as folder:
            for part in parts:
                place = str(Path(folder, "driven" if part == "drive" else "replayed"))
                found = figures["sizes"][str(num_items)][part] = _in_a_process(part, place, num_items)
                print(f"{num_items:,} items, {part}: {found}", file=sys.stderr, flush=True)
    show(figures, latency)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _in_a_process(part: str, folder: str, num_items: int) -> Figures:
    command = [sys.executable, *sys.argv, "--only", part, folder, str(num_items)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def planned(num_items: int) -> Iterator[WorkItem]:
    """Plan so many items of the embedded world."""
    problems = generate_problems("train", num_items, seed=5)
    return islice(plan_items(problems, repeats=REPEATS, fingerprint="scale"), num_items)


def write_plan(folder: str, num_items: int) -> tuple[RunDirectory, Figures]:
    """Write a plan; return its run and what it took."""
    run = RunDirectory(folder)
    began = time.process_time()
    run.write_plan(item_to_row(item, position) for position, item in enumerate(planned(num_items)))
    seconds = time.process_time() - began
    size = Path(folder, "plan.parquet").stat().st_size
    return run, {"plan_us_an_item": round(1e6 * seconds / num_items), "plan_bytes_an_item": round(size / num_items)}


def replay(folder: str, num_items: int, fleet: Fleet) -> Figures:
    """Run a plan on the fleet, in virtual time; return how busy it was, and what was stored."""
    run, figures = write_plan(folder, num_items)
    replicas = [Replica(fleet.latency) for _ in range(fleet.num_replicas)]
    engine = SimulatedEngine(replicas, solve_max_tokens=SAMPLING["solve"].max_tokens)
    runner = LightRunner(engine) if fleet.is_light else BootstrapRunner(CONFIG, model_path=MODEL_PATH, engine=engine)
    job = ItemsJob(run=run, mark=run.claim(), make_runner=lambda: runner, execution=CONFIG.execution)
    began = time.process_time()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as loop:
        seconds, counts = loop.run(_replayed(job, fleet.num_workers))
    processor = time.process_time() - began
    assert not counts.fatal, counts.fatal
    assert counts.num_items == num_items
    shards = list(Path(folder, "outcomes").iterdir())
    num_tokens = sum(replica.num_tokens for replica in replicas)
    return figures | {
        "virtual_seconds": round(seconds, 1),
        "busy": round(num_tokens / fleet.latency.tokens_per_second / fleet.num_replicas / seconds, 3),
        "tokens_an_item": round(num_tokens / num_items, 1),
        "worker_us_an_item": round(1e6 * processor / num_items),
        "outcome_bytes_an_item": round(sum(shard.stat().st_size for shard in shards) / num_items),
        "items_a_shard": round(num_items / len(shards), 1),
    }


async def _replayed(job: ItemsJob, num_workers: int) -> tuple[float, BlockCounts]:
    """Hand blocks to workers as Ray Data does: each has a few at once, and takes the next when one ends."""
    execution, loop = job.execution, asyncio.get_running_loop()
    source = PlanSource(job.run, rows_per_block=execution.batch_size)
    blocks = deque(source.get_read_tasks(source.num_blocks))
    blocks_at_once = max(2, -(-2 * execution.rows_in_flight // execution.batch_size))
    counts = BlockCounts()

    async def take(worker: ItemWorker) -> None:
        nonlocal counts
        while blocks:
            table: pa.Table = next(iter(blocks.popleft()()))
            done = await worker(table)
            counts += BlockCounts(**done.to_pylist()[0])

    began = loop.time()
    workers = [ItemWorker(job) for _ in range(num_workers)]
    # Each worker's first block before anyone's second.
    await asyncio.gather(*(take(worker) for _ in range(blocks_at_once) for worker in workers))
    return loop.time() - began, counts


def resume(folder: str, num_items: int, fleet: Fleet) -> Figures:
    """Read a run as a start does before its first item: what is done, and what is left."""
    del num_items, fleet
    run, before = RunDirectory(folder), peak_mib()
    wall, processor = time.perf_counter(), time.process_time()
    PlanSource(run, rows_per_block=CONFIG.execution.batch_size)
    left = time.perf_counter() - wall
    stored_counts(run)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "resume_seconds": round(wall, 2),
        "of_it_what_is_left": round(left, 2),
        "resume_processor_seconds": round(processor, 2),
        "resume_mib_before": round(before),
        "resume_mib": round(peak_mib()),
    }


def drive_planned(folder: str, num_items: int, fleet: Fleet) -> Figures:
    """Plan, in a process that ends, and drive the plan on real Ray."""
    del fleet
    _in_a_process("plan", folder, num_items)
    return drive(folder)


def only_plan(folder: str, num_items: int, fleet: Fleet) -> Figures:
    """Write the plan and no more."""
    del fleet
    return write_plan(folder, num_items)[1]


PARTS = {"plan": only_plan, "replay": replay, "resume": resume, "drive": drive_planned}


def show(figures: Figures, latency: LatencyModel) -> None:
    """Print what each part found, one column a size."""
    rate = latency.tokens_per_second
    title = f"{figures['replicas']} replicas of {rate:,.0f} tokens/s, {figures['workers']} workers"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("items")
    sizes = figures["sizes"]
    names = Counter(name for parts in sizes.values() for found in parts.values() for name in found if name != "items")
    for num_items in sizes:
        table.add_column(f"{int(num_items):,}", justify="right")
    for name in names:
        merged = [{key: value for found in parts.values() for key, value in found.items()} for parts in sizes.values()]
        table.add_row(name.replace("_", " "), *(f"{found[name]:,}" if name in found else "" for found in merged))
    Console().print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = LatencyModel()
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 items; under two minutes")
    parser.add_argument("--items", type=int, nargs="+", help="these numbers of items")
    parser.add_argument("--driven", type=int, nargs="*", help="numbers of items for real Ray; by default the same")
    parser.add_argument("--light", action="store_true", help="neither render nor grade: a third of the time")
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--base", type=float, default=default.base, help="seconds of an empty decoding step")
    parser.add_argument("--per-sequence", type=float, default=default.per_sequence, help="seconds a sequence adds")
    parser.add_argument("--max-num-seqs", type=int, default=default.max_num_seqs, help="sequences of a replica")
    parser.add_argument("--only", nargs=3, metavar=("PART", "FOLDER", "ITEMS"), help="one part, in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
