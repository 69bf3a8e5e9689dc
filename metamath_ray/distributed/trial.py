"""Try a few items before all of them: a preview to read, and a sample to measure the cost by."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Any

from metamath_ray.augmentation import PlanSummary
from metamath_ray.capacity import GpuPlan, Price, load_prices
from metamath_ray.config import BootstrapConfig, PlanCommand
from metamath_ray.datasets.reading import read_configured
from metamath_ray.distributed.bootstrap import BootstrapRunner, engine_up
from metamath_ray.distributed.items import completion_tokens
from metamath_ray.distributed.observer import Observer
from metamath_ray.distributed.planning import open_run, planned_items
from metamath_ray.distributed.preflight import Checked, check, renderer, require_writable
from metamath_ray.errors import RunFailed
from metamath_ray.inference import CompletionEngine, CompletionRequest
from metamath_ray.prompts import Renderer
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_from_row
from metamath_ray.types import Augmentation, Completion, Outcome, WorkItem, content_id

PREVIEW_PROBLEMS = 50
"""Seed problems a preview looks at, to find items of every augmentation."""


@dataclass(frozen=True, kw_only=True)
class PreviewRow:
    """One item through the whole pipe.

    Attributes:
        prompts: What the engine was asked, in order, as text.
    """

    outcome: Outcome
    prompts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class KindEstimate:
    """What the items of one augmentation will take."""

    num_items: int
    num_sampled: int
    num_requests: float
    num_prompt_tokens: float
    num_completion_tokens: float


@dataclass(kw_only=True)
class Estimate:
    """What a run will take, extrapolated from a sample.

    Attributes:
        tokens_per_second: Completion tokens the sample made, its start-up left out; a full run is faster, because the
            sample is too small to fill the engine.
        price: Price of a million tokens.
        on_gpus: The run on the GPUs that it was to be priced on.
    """

    by_augmentation: dict[Augmentation, KindEstimate] = field(default_factory=dict)
    tokens_per_second: float = 0.0
    num_gpus: int = 0
    price: float | None = None
    on_gpus: GpuPlan | None = None

    @property
    def num_completion_tokens(self) -> float:
        """Completion tokens of the whole run; 0 without a sample."""
        return sum(kind.num_completion_tokens for kind in self.by_augmentation.values())

    @property
    def seconds(self) -> float | None:
        """Wall time at the sample's speed; None without a sample."""
        return self.num_completion_tokens / self.tokens_per_second if self.tokens_per_second else None

    @property
    def gpu_hours(self) -> float | None:
        """Wall time times GPUs; None without a sample."""
        return None if self.seconds is None else self.seconds / 3600 * self.num_gpus

    @property
    def money(self) -> float | None:
        """Cost of all tokens; None without a price."""
        if self.price is None:
            return None
        kinds = self.by_augmentation.values()
        return sum(kind.num_prompt_tokens + kind.num_completion_tokens for kind in kinds) / 1e6 * self.price


class _RecordingEngine:
    """Passes requests on and keeps them."""

    def __init__(self, engine: CompletionEngine) -> None:
        self._engine = engine
        self.requests: list[CompletionRequest] = []

    @property
    def model(self) -> str:
        return self._engine.model

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        return await self._engine.complete(request)


def preview(config: BootstrapConfig, *, num_rows: int, observer: Observer) -> list[PreviewRow]:
    """Run a few items of what would be planned; writes nothing.

    Raises:
        UserError: Something is missing or malformed.
    """
    checked = check(config, observer=observer)
    source = config.source
    reading = read_configured(source)
    items = list(planned_items(islice(reading, PREVIEW_PROBLEMS), checked, PlanSummary()))
    chosen = list(islice(_taking_turns(items), num_rows))
    with engine_up(
        checked, application=f"preview-{content_id(map(str, chosen))[:8]}", logs=None, observer=observer
    ) as up:
        return [asyncio.run(_preview_row(item, config, checked.model_path, up.engine())) for item in chosen]


async def _preview_row(
    item: WorkItem, config: BootstrapConfig, model_path: str, engine: CompletionEngine
) -> PreviewRow:
    recording = _RecordingEngine(engine)
    runner = BootstrapRunner(config, model_path=model_path, engine=recording)
    row = await runner.run(item_to_row(item, 0))
    rendering = renderer(config, model_path=model_path)
    prompts = tuple(_prompt_text(request, rendering) for request in recording.requests)
    return PreviewRow(outcome=outcome_from_row(row), prompts=prompts)


def _prompt_text(request: CompletionRequest, rendering: Renderer) -> str:
    if request.prompt.messages is not None:
        return "\n".join(f"[{message.role}] {message.content}" for message in request.prompt.messages)
    assert rendering.tokenizer is not None  # noqa: S101  token ids come from a tokenizer
    return rendering.tokenizer.decode(list(request.prompt.token_ids or ()))


def _taking_turns(items: Iterable[WorkItem]) -> Iterable[WorkItem]:
    by_kind: dict[Augmentation, list[WorkItem]] = {}
    for item in items:
        by_kind.setdefault(item.augmentation, []).append(item)
    return (item for turn in zip_longest(*by_kind.values()) for item in turn if item is not None)


def plan(config: PlanCommand, *, fork: bool, sample_items: int, observer: Observer) -> tuple[Manifest, Estimate]:
    """Plan a run and estimate its cost by running a sample of it, which stays done.

    Raises:
        UserError: Something is missing or malformed; nothing was written.
    """
    run, prices = RunDirectory(config.run_directory), load_prices(config.prices)
    with run.lock():
        checked = check(config, observer=observer)
        require_writable(run)
        manifest = open_run(run, checked, fork=fork)
        planned = manifest.stages["plan"]["by_augmentation"]
        rows = _spread_rows(run, planned, sample_items) if sample_items else []
        sampled, seconds = _run_sample(run, checked, manifest, rows, observer) if rows else ([], 0.0)
    estimate = _estimate(config, planned, sampled, seconds)
    estimate.on_gpus = gpu_plan(config, estimate, prices)
    return manifest, estimate


def gpu_plan(config: PlanCommand, estimate: Estimate, prices: Mapping[str, Price]) -> GpuPlan | None:
    """Say what a run takes on the GPUs that it is to be priced on; None where no such were named.

    The speed is the user's, or what the sample made on GPUs of the same kind; the configuration allows no other.
    """
    if config.gpu is None:
        return None
    price = prices.get(config.gpu)
    if config.price_per_gpu_hour is not None:
        price = Price(gpu_hour=config.price_per_gpu_hour, currency="", source="price_per_gpu_hour")
    speed, source = config.tokens_per_second, "given by --tokens-per-second, not measured here"
    if speed is None:
        speed = estimate.tokens_per_second / max(1, estimate.num_gpus)
        source = f"measured on the sample here, on {estimate.num_gpus} × {config.gpu}; a full run is faster"
    if not speed:
        raise RunFailed("the sample made no tokens, so its speed is unknown; look at its outcomes")
    return GpuPlan(
        gpu=config.gpu,
        num_gpus=config.num_gpus,
        num_tokens=estimate.num_completion_tokens,
        tokens_per_second=speed,
        speed_source=source,
        price=price,
    )


def _spread_rows(run: RunDirectory, planned: dict[str, int], sample_items: int) -> list[dict[str, Any]]:
    """Take items evenly out of each augmentation's part of the plan."""
    share = max(1, sample_items // max(1, len(planned)))
    every = {kind: max(1, count // share) for kind, count in planned.items()}
    seen = dict.fromkeys(planned, 0)
    taken = []
    for batch in run.plan_batches():
        for row in batch.to_pylist():
            kind = row["augmentation"]
            if seen[kind] % every[kind] == 0 and seen[kind] < share * every[kind]:
                taken.append(row)
            seen[kind] += 1
    return taken


def _run_sample(
    run: RunDirectory, checked: Checked, manifest: Manifest, rows: list[dict[str, Any]], observer: Observer
) -> tuple[list[dict[str, Any]], float]:
    application = f"plan-{content_id((manifest.content_hash, run.root))[:8]}"
    with engine_up(checked, application=application, logs=run.local_path, observer=observer) as make_runner:
        observer.stage(f"running {len(rows)} items to measure")
        began = time.monotonic()
        outcomes = asyncio.run(_run_rows(make_runner(), rows))
        seconds = time.monotonic() - began
    finished = run.finished_ids()
    fresh = [row for row in outcomes if row["item_id"] not in finished]
    if fresh:
        run.write_outcomes(fresh, f"sample-{content_id(row['item_id'] for row in fresh)}")
    return outcomes, seconds


async def _run_rows(runner: BootstrapRunner, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*map(runner.run, rows)))


def _estimate(
    config: BootstrapConfig, planned: dict[str, int], sampled: list[dict[str, Any]], seconds: float
) -> Estimate:
    estimate = Estimate(price=config.price_per_million_tokens, num_gpus=config.engine.num_gpus)
    if seconds:
        estimate.tokens_per_second = sum(map(completion_tokens, sampled)) / seconds
    for kind, num_items in planned.items():
        rows = [row for row in sampled if row["augmentation"] == kind]
        estimate.by_augmentation[Augmentation(kind)] = _kind_estimate(num_items, rows)
    return estimate


def _kind_estimate(num_items: int, rows: list[dict[str, Any]]) -> KindEstimate:
    completions = [row[stage] for row in rows for stage in ("rewrite", "solution") if row[stage]]
    scale = num_items / len(rows) if rows else 0.0
    return KindEstimate(
        num_items=num_items,
        num_sampled=len(rows),
        num_requests=scale * len(completions),
        num_prompt_tokens=scale * sum(completion["num_prompt_tokens"] for completion in completions),
        num_completion_tokens=scale * sum(completion["num_completion_tokens"] for completion in completions),
    )
