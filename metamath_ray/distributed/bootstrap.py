"""Plan → outcomes: the graph of the main job.

lock the folder ─▶ check everything ─▶ plan, unless planned ─▶ Ray up ─▶ model up ─▶ run_items ─▶ manifest
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from metamath_ray.augmentation import run_item
from metamath_ray.capacity import check_nodes, check_versions, engine_bundles
from metamath_ray.config import BootstrapConfig, EngineConfig, ExecutionConfig, OpenAIEngineConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import CPU_PER_REPLICA, generator, resolve_dtype
from metamath_ray.distributed.driving import Spending, note_budget, run_all, spending_of
from metamath_ray.distributed.grouped_calls import FOR_RUNS
from metamath_ray.distributed.items import BlockCounts, ItemsJob
from metamath_ray.distributed.machines import node_groups, node_versions
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.distributed.planning import open_run
from metamath_ray.distributed.preflight import (
    Checked,
    api_key,
    check,
    renderer,
    require_writable,
    sampling_parameters,
)
from metamath_ray.distributed.serve_engine import ServeEngine
from metamath_ray.errors import MetamathRayError
from metamath_ray.grading import check_canaries
from metamath_ray.inference import CompletionEngine, RetryingEngine
from metamath_ray.inference.models import context_length
from metamath_ray.inference.openai_compatible import OpenAICompatibleEngine, probe
from metamath_ray.storage import RunDirectory, item_from_row, outcome_to_row, summarize, unfinished_positions
from metamath_ray.storage.manifest import now
from metamath_ray.types import Outcome, OutcomeStatus, WorkItem, content_id

SPARE_CPUS = 2
"""Logical CPUs for reading the plan beside the engine and the workers."""

GPU_ADVICE = (
    "lower engine.num_replicas or engine.tensor_parallel_size, leave engine.accelerator_type out to run on CPU, "
    "or give ray.address"
)


class BootstrapRunner:
    """Runs one work item: rewrite → solve → grade; lives in a worker."""

    def __init__(self, config: BootstrapConfig, *, model_path: str, engine: CompletionEngine) -> None:
        check_canaries()
        self._engine = RetryingEngine(engine, budget_seconds=config.execution.retry_budget_seconds)
        self._renderer = renderer(config, model_path=model_path)
        self._prompt_set_hash = self._renderer.prompt_set.hash
        self._rewrite = sampling_parameters(config.sampling.rewrite)
        self._solve = sampling_parameters(config.sampling.solve)

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Run one plan row to its outcome row."""
        began = time.monotonic()
        outcome = await self._run_item(item_from_row(row))
        return outcome_to_row(
            outcome,
            position=row["position"],
            prompt_set_hash=self._prompt_set_hash,
            seconds=time.monotonic() - began,
        )

    async def _run_item(self, item: WorkItem) -> Outcome:
        """Run an item; an odd one fails alone, and `max_failure_ratio` ends a run of odd ones."""
        try:
            return await run_item(
                item,
                engine=self._engine,
                renderer=self._renderer,
                rewrite_sampling=self._rewrite,
                solve_sampling=self._solve,
            )
        except MetamathRayError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            return Outcome(item=item, status=OutcomeStatus.FAILED, reason="internal_error", error=said)


@dataclass(frozen=True, kw_only=True)
class BootstrapRunnerFactory:
    """Builds the runner inside a worker.

    Attributes:
        api_key: Key of a hosted engine. A worker's environment is its node's, not the driver's, so the key travels with
            the factory, inside Ray; a runtime environment would write it into Ray's logs.
    """

    config: BootstrapConfig
    model_path: str
    application: str
    api_key: str = field(default="", repr=False)

    def __call__(self) -> BootstrapRunner:
        """Connect to the engine and build the runner."""
        return BootstrapRunner(self.config, model_path=self.model_path, engine=self.engine())

    def engine(self) -> CompletionEngine:
        """Connect to the engine."""
        engine = self.config.engine
        if isinstance(engine, OpenAIEngineConfig):
            return OpenAICompatibleEngine(
                base_url=engine.base_url,
                model=engine.model,
                api_key=self.api_key,
                timeout_seconds=engine.timeout_seconds,
            )
        return ServeEngine(
            application=self.application,
            model=engine.model,
            timeout_seconds=engine.request_timeout_seconds,
            grouping=FOR_RUNS,
            max_model_len=engine.max_model_len or context_length(self.model_path),
        )


def required_cpus(engine: EngineConfig, execution: ExecutionConfig) -> int:
    """Return the logical CPUs that a run needs."""
    return CPU_PER_REPLICA * engine.num_replicas + execution.num_workers + SPARE_CPUS


@contextmanager
def engine_up(
    checked: Checked, *, application: str, logs: Path | None, observer: Observer
) -> Iterator[BootstrapRunnerFactory]:
    """Have Ray and the model up for as long as they are used; yields what workers are built from.

    Args:
        application: Name of the Serve application, should one be deployed; two runs on one cluster must differ in it.
        logs: The run's folder, which keeps Ray's and vLLM's logs under `logs/`.
    """
    config, engine = checked.config, checked.config.engine
    if isinstance(engine, OpenAIEngineConfig):
        observer.stage(f"asking {engine.base_url}")
        probe(base_url=engine.base_url, api_key=api_key(engine))
    observer.stage("starting Ray")
    num_cpus = required_cpus(engine, config.execution)
    with connected(
        config.ray,
        num_cpus=num_cpus,
        num_gpus=engine.num_gpus,
        gpu_advice=GPU_ADVICE,
        logs=logs / "logs" if logs else None,
    ):
        if isinstance(engine, OpenAIEngineConfig):
            yield BootstrapRunnerFactory(
                config=config, model_path=checked.model_path, application="", api_key=api_key(engine)
            )
            return
        check_nodes(engine_bundles(engine), node_groups())
        check_versions(node_versions())
        observer.stage(f"loading {engine.model} into vLLM ({resolve_dtype(engine)})")
        with generator(engine, model_path=checked.model_path, application=application) as running:
            yield BootstrapRunnerFactory(config=config, model_path=checked.model_path, application=running)


def bootstrap(
    config: BootstrapConfig, *, fork: bool = False, retry_failed: bool = False, observer: Observer | None = None
) -> BlockCounts:
    """Run a bootstrap, or go on with one that was interrupted, until every planned item has its outcome.

    Args:
        retry_failed: Run the items again that failed before.
        fork: Allow a changed configuration over an existing run (see `planning.open_run`).
        observer: Told of stages and progress.

    Raises:
        UserError: Something is missing, or the folder is busy or foreign; nothing was written.
        RunFailed: Too many items failed or the engine stayed away; what is done is stored.
    """
    run, watching = RunDirectory(config.run_directory), observer or Silent()
    with run.lock():
        watching.stage("checking model and prompts")
        checked = check(config, observer=watching)
        require_writable(run)
        watching.stage("planning")
        manifest = open_run(run, checked, fork=fork)
        spending = spending_of(config, run, num_gpus=config.engine.num_gpus)
        note_budget(run, spending, is_left=False)
        is_over = spending is not None and spending.is_over(watching)
        if not is_over and unfinished_positions(run, retry_failed=retry_failed).size:
            name = f"bootstrap-{content_id((manifest.content_hash, run.root))[:8]}"
            with engine_up(checked, application=name, logs=run.local_path, observer=watching) as make_runner:
                watching.stage("bootstrapping")
                draw_all(run, make_runner, retry_failed=retry_failed, observer=watching, spending=spending)
        note_budget(run, spending, is_left=bool(unfinished_positions(run).size))
        return stored_counts(run)


def draw_all(
    run: RunDirectory,
    make_runner: BootstrapRunnerFactory,
    *,
    retry_failed: bool,
    observer: Observer,
    spending: Spending | None = None,
) -> None:
    """Run every planned item that has no outcome, and record the start in the manifest.

    Raises:
        UserError: It cannot go on before the user does something.
        RunFailed: Too many items failed or the engine stayed away; what is done is stored.
    """
    config = make_runner.config
    job = ItemsJob(
        run=run, mark=run.claim(), make_runner=make_runner, execution=config.execution, retry_failed=retry_failed
    )
    record = partial(_record, run, config.engine)
    run_all(job, earlier=stored_counts(run), observer=observer, record=record, spending=spending)


def _record(run: RunDirectory, engine: EngineConfig, counts: BlockCounts, seconds: float) -> None:
    """Add a start to the manifest's record of the stage: what it made, and in what time."""
    manifest = run.read_manifest()
    earlier = manifest.stages.get("bootstrap", {})
    manifest.stages["bootstrap"] = {
        "ended": now(),
        "num_starts": earlier.get("num_starts", 0) + 1,
        "num_tokens": earlier.get("num_tokens", 0) + counts.num_tokens,
        "seconds": round(earlier.get("seconds", 0.0) + seconds, 1),
        "dtype": None if isinstance(engine, OpenAIEngineConfig) else resolve_dtype(engine),
    }
    run.write_manifest(manifest)


def stored_counts(run: RunDirectory) -> BlockCounts:
    """Count the outcomes that a run has of what it planned."""
    kinds = summarize(run).by_augmentation.values()
    return BlockCounts(
        num_items=sum(kind.num_finished for kind in kinds),
        num_accepted=sum(kind.num_accepted for kind in kinds),
        num_failed=sum(kind.num_failed for kind in kinds),
        num_tokens=sum(kind.num_tokens for kind in kinds),
    )
