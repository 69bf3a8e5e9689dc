"""The driver of a run on real Ray, with workers whose items are done at once: what is left is what driving costs."""

import resource
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from metamath_ray.config import ExecutionConfig, RayConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.items import ItemsJob, run_items
from metamath_ray.inference import CompletionEngine, CompletionRequest
from metamath_ray.storage import RunDirectory, item_from_row, outcome_to_row
from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Outcome,
    OutcomeStatus,
    RenderedPrompt,
    SamplingParameters,
    WorkItem,
)

NUM_CPUS = 4
"""Of Ray's counting, not of the machine: the worker, and room for what reads."""
LOOKS_EVERY = 50
"""Blocks between two looks at the worker's memory."""
RESPONSE = "He has 12 apples and buys 30 more, so that he has 12 + 30 = 42 apples. " * 10
SAMPLING = {"rewrite": SamplingParameters(max_tokens=512), "solve": SamplingParameters(max_tokens=1024)}


class LightRunner:
    """Asks the engine as often as an item does, and neither renders nor grades."""

    def __init__(self, engine: CompletionEngine) -> None:
        self._engine = engine

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome row."""
        item = item_from_row(row)
        rewrite = await self._ask(item, "rewrite") if item.augmentation is Augmentation.REPHRASING else None
        outcome = Outcome(
            item=item,
            status=OutcomeStatus.ACCEPTED,
            query=rewrite.text if rewrite else item.problem.question,
            rewrite=rewrite,
            solution=await self._ask(item, "solve"),
            expected_answer=item.problem.reference_answer,
        )
        return outcome_to_row(outcome, position=row["position"], prompt_set_hash="", seconds=0.0)

    async def _ask(self, item: WorkItem, stage: str) -> Completion:
        return await self._engine.complete(
            CompletionRequest(prompt=RenderedPrompt(token_ids=(1,)), sampling=SAMPLING[stage], seed=item.seed(stage))
        )


class InstantEngine:
    """Has the same reply for everybody, at once."""

    model = "instant"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Reply."""
        return Completion(
            text=RESPONSE,
            finish_reason=FinishReason.STOP,
            num_prompt_tokens=100,
            num_completion_tokens=180,
            seed=request.seed,
            model=self.model,
        )


def drive(folder: str) -> dict[str, float]:
    """Run a plan to its end; return what the driver's process took, and the worker's peak."""
    run = RunDirectory(folder)
    make_runner = partial(LightRunner, InstantEngine())
    job = ItemsJob(run=run, mark=run.claim(), make_runner=make_runner, execution=ExecutionConfig())
    with connected(RayConfig(), num_cpus=NUM_CPUS, logs=None):
        before = peak_mib()
        wall, processor = time.perf_counter(), time.process_time()
        worker_peak, num_items = 0.0, 0
        for number, block in enumerate(run_items(job)):
            num_items += block.num_items
            if number % LOOKS_EVERY == 0:
                worker_peak = max(worker_peak, _worker_peak_mib())
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        after = peak_mib()
    return {
        "items": num_items,
        "seconds": round(wall, 1),
        "driver_processor_us_an_item": round(1e6 * processor / num_items, 1),
        "driver_mib_before": round(before),
        "driver_mib": round(after),
        "worker_mib": round(worker_peak),
    }


def peak_mib() -> float:
    """Return the largest resident set that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _worker_peak_mib() -> float:
    """Return the largest resident set that a worker of items had; 0 before there is one."""
    peaks = [0.0]
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):
            if "ItemWorker" in " ".join(process.cmdline()):
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)
