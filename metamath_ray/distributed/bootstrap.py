"""Plan → outcomes: the graph of the main job.

lock the folder ─▶ check everything ─▶ plan, unless planned ─▶ Ray up ─▶ model up ─▶ run_items ─▶ manifest
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamath_ray.augmentation import run_item
from metamath_ray.config import BootstrapConfig, OpenAIEngineConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import CPU_PER_REPLICA, generator, resolve_dtype
from metamath_ray.distributed.items import BlockCounts, ItemsJob, run_items
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.distributed.planning import open_run
from metamath_ray.distributed.preflight import Checked, api_key, check, renderer, sampling_parameters
from metamath_ray.distributed.serve_engine import ServeEngine
from metamath_ray.errors import RunFailed, UserError
from metamath_ray.grading import check_canaries
from metamath_ray.inference import CompletionEngine, RetryingEngine
from metamath_ray.inference.openai_compatible import OpenAICompatibleEngine
from metamath_ray.storage import Manifest, RunDirectory, item_from_row, outcome_to_row, summarize
from metamath_ray.storage.manifest import now

SPARE_CPUS = 2
"""Logical CPUs for reading the plan beside the engine and the workers."""

MIN_ITEMS_TO_JUDGE = 50
"""The failure ratio means nothing before so many items."""


class BootstrapRunner:
    """Runs one work item: rewrite → solve → grade; lives in a worker."""

    def __init__(self, config: BootstrapConfig, *, model_path: str, engine: CompletionEngine) -> None:
        check_canaries()
        self._engine = RetryingEngine(engine, budget_seconds=config.execution.retry_budget_seconds)
        self._renderer = renderer(config, model_path=model_path)
        self._rewrite = sampling_parameters(config.sampling.rewrite)
        self._solve = sampling_parameters(config.sampling.solve)

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Run one plan row to its outcome row."""
        began = time.monotonic()
        outcome = await run_item(
            item_from_row(row),
            engine=self._engine,
            renderer=self._renderer,
            rewrite_sampling=self._rewrite,
            solve_sampling=self._solve,
        )
        return outcome_to_row(
            outcome,
            position=row["position"],
            prompt_set_hash=self._renderer.prompt_set.hash,
            seconds=time.monotonic() - began,
        )


@dataclass(frozen=True, kw_only=True)
class BootstrapRunnerFactory:
    """Builds the runner inside a worker; what crosses to it is configuration, no connection and no key."""

    config: BootstrapConfig
    model_path: str
    application: str

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
                api_key=api_key(engine),
                timeout_seconds=engine.timeout_seconds,
            )
        return ServeEngine(
            application=self.application, model=engine.model, timeout_seconds=engine.request_timeout_seconds
        )


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
    num_replicas = 0 if isinstance(engine, OpenAIEngineConfig) else engine.num_replicas
    num_cpus = CPU_PER_REPLICA * num_replicas + config.execution.num_workers + SPARE_CPUS
    observer.stage("starting Ray")
    with connected(config.ray, num_cpus=num_cpus, logs=logs / "logs" if logs else None):
        if isinstance(engine, OpenAIEngineConfig):
            yield BootstrapRunnerFactory(config=config, model_path=checked.model_path, application="")
            return
        observer.stage(f"loading {engine.model} into vLLM ({resolve_dtype(engine)})")
        with generator(engine, model_path=checked.model_path, application=application) as running:
            yield BootstrapRunnerFactory(config=config, model_path=checked.model_path, application=running)


def bootstrap(config: BootstrapConfig, *, fork: bool = False, observer: Observer | None = None) -> BlockCounts:
    """Run a bootstrap, or go on with one that was interrupted, until every planned item has its outcome.

    Args:
        fork: Allow a changed configuration over an existing run (see `planning.open_run`).
        observer: Told of stages and progress.

    Raises:
        UserError: Something is missing, or the folder is busy or foreign; nothing was written.
        RunFailed: Too many items failed or the engine stayed away; what is done is stored.
    """
    run, watching = RunDirectory(config.run_directory), observer or Silent()
    with run.lock():
        watching.stage("checking model and prompts")
        checked = check(config)
        watching.stage("planning")
        manifest = open_run(run, checked, fork=fork)
        counts, total = stored_counts(run), run.count_plan()
        if counts.num_items < total:
            name = f"bootstrap-{manifest.content_hash[:8]}"
            with engine_up(checked, application=name, logs=run.local_path, observer=watching) as make_runner:
                watching.stage("bootstrapping")
                watching.progress(counts, total)
                with _recorded(run, manifest):
                    counts = _run_all(run, make_runner, counts, lambda counts: watching.progress(counts, total))
    return counts


@contextmanager
def _recorded(run: RunDirectory, manifest: Manifest) -> Iterator[None]:
    """Add this start to the manifest's record of the stage, however it ends."""
    began, earlier = time.monotonic(), manifest.stages.get("bootstrap", {})
    try:
        yield
    finally:
        manifest.stages["bootstrap"] = {
            "ended": now(),
            "num_starts": earlier.get("num_starts", 0) + 1,
            "seconds": round(earlier.get("seconds", 0.0) + time.monotonic() - began, 1),
        }
        run.write_manifest(manifest)


def _run_all(
    run: RunDirectory,
    make_runner: BootstrapRunnerFactory,
    counts: BlockCounts,
    report: Callable[[BlockCounts], None],
) -> BlockCounts:
    execution = make_runner.config.execution
    job = ItemsJob(run=run, make_runner=make_runner, execution=execution)
    with closing(run_items(job)) as blocks:
        for block in blocks:
            counts += block
            report(counts)
            _stop_if_hopeless(counts, execution.max_failure_ratio, run)
    return counts


def _stop_if_hopeless(counts: BlockCounts, max_failure_ratio: float, run: RunDirectory) -> None:
    if counts.fatal:
        kind = UserError if counts.is_users_fault else RunFailed
        raise kind(f"{counts.fatal} [{counts.num_items} items are stored in {run.path('outcomes')}]")
    judged = counts.num_items >= MIN_ITEMS_TO_JUDGE
    if judged and counts.num_failed > max_failure_ratio * counts.num_items:
        raise RunFailed(
            f"{counts.num_failed} of {counts.num_items} items failed, more than execution.max_failure_ratio allows "
            f"({max_failure_ratio:.0%}); their errors are in {run.path('outcomes')}"
        )


def stored_counts(run: RunDirectory) -> BlockCounts:
    """Count the outcomes that a run has of what it planned."""
    kinds = summarize(run).by_augmentation.values()
    return BlockCounts(
        num_items=sum(kind.num_finished for kind in kinds),
        num_accepted=sum(kind.num_accepted for kind in kinds),
        num_failed=sum(kind.num_failed for kind in kinds),
        num_tokens=sum(kind.num_tokens for kind in kinds),
    )
