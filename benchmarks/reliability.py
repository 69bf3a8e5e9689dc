"""Faults injected into running work: what was lost, what was done twice, how long until it went on.

Each kind of fault hits one run again and again, at moments drawn from the seed; the run ends by itself, and its plan
is compared with what it stored. Bootstraps run over a Ray cluster of three nodes on this machine with an engine that
has no model and speaks the OpenAI protocol, so that a fault costs seconds; training and the solve service are real, and
the service's faults are shared out among its parts. `disk` needs root, for a small disk of its own. Prints a table and,
as its last line, one JSON object.

    python benchmarks/reliability.py [--faults driver worker …] [--times N] [--seed N] [--quick]
"""

import argparse
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from reliability_runs import (
    Engine,
    Nodes,
    bootstrap,
    fill_disk,
    kill_driver,
    kill_engine,
    kill_node,
    kill_worker,
    tear_file,
)
from reliability_services import PARTS, kill_solve, kill_trainer
from rich.console import Console
from rich.table import Table

from metamath_ray.storage.manifest import hardware, versions
from tests.integration.command import Bootstrap
from tests.integration.heads import started_head

BOOTSTRAP_FAULTS = ("driver", "worker", "engine", "node", "disk", "torn")
OTHER_FAULTS = ("trainer", "solve")
PROBLEMS_A_FAULT = 4
"""Seed problems, so that there is work left at the last fault."""
LONGEST_PAUSE_SECONDS = 2.0
DISK_MIB = 64
WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one kind of fault did.

    Attributes:
        num_items: Items of the work that was hit: rows, steps or questions.
        num_lost: Those that never came to an end.
        num_repeated: Those that are stored more than once.
        seconds: For each fault, until something new was done.
    """

    fault: str
    unit: str
    num_items: int
    num_lost: int
    num_repeated: int
    seconds: list[float]


def main() -> None:
    """Break and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = (*BOOTSTRAP_FAULTS, *OTHER_FAULTS)
    parser.add_argument("--faults", nargs="+", choices=kinds, default=list(kinds))
    parser.add_argument("--times", type=int, default=20, help="faults of a kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="three faults of the first three kinds: two minutes")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    faults = BOOTSTRAP_FAULTS[:3] if given.quick else given.faults
    times = 3 if given.quick else given.times
    tallies = []
    for tally in injected(faults, times, given.seed):
        print(json.dumps(asdict(tally)), file=sys.stderr, flush=True)
        tallies.append(tally)
    show(tallies, given.seed)
    figures = {"seed": given.seed, "faults": [asdict(tally) for tally in tallies]}
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def injected(faults: Sequence[str], times: int, seed: int) -> Iterator[Tally]:
    """Inject all kinds that are asked for."""
    yield from bootstraps([fault for fault in faults if fault in BOOTSTRAP_FAULTS], times, seed)
    if "trainer" in faults:
        yield Tally(**kill_trainer(times, Random(seed)))
    if "solve" in faults:
        yield from (Tally(**found) for found in kill_solve(math.ceil(times / len(PARTS)), Random(seed)))


def bootstraps(faults: Sequence[str], times: int, seed: int) -> Iterator[Tally]:
    """Hit a bootstrap with each kind of fault, all of them on one cluster."""
    if not faults:
        return
    with started_head("--num-cpus=0", "--include-dashboard=false") as head:
        nodes, engine = Nodes(head), Engine()
        try:
            for fault in faults:
                chance = Random(f"{seed} {fault}")
                with room(fault) as folder:
                    run = bootstrap(head, folder / "run", engine, num_problems=PROBLEMS_A_FAULT * times)
                    inject: dict[str, Callable[[], None]] = {
                        "driver": partial(kill_driver, run),
                        "worker": kill_worker,
                        "engine": partial(kill_engine, engine, chance),
                        "node": partial(kill_node, nodes),
                        "disk": partial(fill_disk, run),
                        "torn": partial(tear_file, run, chance),
                    }
                    yield hit(fault, run, inject[fault], times, chance)
        finally:
            engine.kill()
            nodes.close()


@contextmanager
def room(fault: str) -> Iterator[Path]:
    """Yield a folder; for a disk that shall be full, on a small disk of its own, which only root can mount."""
    with tempfile.TemporaryDirectory(prefix="mr-disk-") as folder:
        if fault != "disk":
            yield Path(folder)
            return
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def hit(fault: str, run: Bootstrap, inject: Callable[[], None], times: int, chance: Random) -> Tally:
    """Inject a fault again and again while a bootstrap works; then let it end."""
    seconds = []
    try:
        for _ in range(times):
            run.wait_for_more()
            time.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))
            began = time.monotonic()
            inject()
            run.wait_for_more()
            seconds.append(round(time.monotonic() - began, 2))
        run.finish()
    finally:
        run.close()
    stored, planned = run.stored(), run.planned()
    return Tally(
        fault=fault,
        unit="items",
        num_items=len(planned),
        num_lost=len(planned - set(stored)),
        num_repeated=len(stored) - len(set(stored)),
        seconds=seconds,
    )


def show(tallies: Sequence[Tally], seed: int) -> None:
    """Print the table."""
    table = Table(title=f"Faults, seed {seed}")
    for column in ("fault", "times", "of", "lost", "repeated", "seconds: median", "least", "most"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for tally in tallies:
        times = (statistics.median(tally.seconds), min(tally.seconds), max(tally.seconds))
        table.add_row(
            tally.fault,
            str(len(tally.seconds)),
            f"{tally.num_items:,} {tally.unit}",
            str(tally.num_lost),
            str(tally.num_repeated),
            *(f"{seconds:.1f}" for seconds in times),
        )
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
