"""A training step: the units of the whole step, this worker's share of them, and the loss that they add up to."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from torch import Tensor

from metamath_ray.config import StageConfig
from metamath_ray.training.packing import PackedBatch, pack
from metamath_ray.training.unit_store import UnitStore
from metamath_ray.training.units import partition, step_positions


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How a step is spread.

    Attributes:
        rank: This worker, from 0.
        size: Workers that train.
        accumulation_steps: Packed batches that each takes a step.
    """

    rank: int
    size: int
    accumulation_steps: int


@dataclass(frozen=True, kw_only=True)
class StepShare:
    """What one worker does of a step.

    Attributes:
        batches: This worker's, as many as every other's.
        weights: `[3]`: what the sums of the three losses are multiplied by, so that all workers' batches add up to the
            mean over the step.
        num_tokens: Of the whole step.
    """

    batches: Iterator[PackedBatch]
    weights: Tensor
    num_tokens: int


def share_of_step(step: int, store: UnitStore, stage: StageConfig, workers: Workers, *, seed: int) -> StepShare:
    """Choose this worker's part of a step; the step itself is the same for any number of workers.

    Raises:
        ValueError: There are more packed batches than rows, so that some would be empty.
    """
    positions = step_positions(step, num_units=len(store), global_batch_size=stage.global_batch_size, seed=seed)
    parts = partition([int(store.num_tokens[at]) for at in positions], workers.size * workers.accumulation_steps)
    mine = parts[workers.rank :: workers.size]
    counts = [store.num_targets[positions].sum(), store.num_pairs[positions].sum(), store.num_judged[positions].sum()]
    weights = [stage.solution_weight, stage.pairwise_weight, stage.pointwise_weight]
    return StepShare(
        batches=(pack(store.take([positions[at] for at in part])) for part in mine),
        weights=torch.tensor([weight / max(1, int(count)) for weight, count in zip(weights, counts, strict=True)]),
        num_tokens=int(store.num_tokens[positions].sum()),
    )


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What a step came to, over all workers.

    Attributes:
        loss: What was minimised.
        solution: Mean over the tokens learned; `pairwise` over the pairs; `pointwise` over the judged solutions; each
            times its weight.
        grad_norm: Before clipping; None where DeepSpeed does not say (ZeRO-0).
        num_tokens: Tokens read.
    """

    loss: float
    solution: float
    pairwise: float
    pointwise: float
    grad_norm: float | None
    num_tokens: int

    def not_finite(self) -> str:
        """Say what is no number, "" where all is; DeepSpeed leaves out a step of such gradients, and goes on."""
        figures = {"loss": self.loss, "gradients' norm": self.grad_norm}
        found = ((name, value) for name, value in figures.items() if value is not None and not math.isfinite(value))
        return next((f"the {name} is {value}" for name, value in found), "")


def train_step(engine: DeepSpeedEngine, share: StepShare, rate: float, workers: Workers) -> StepResult:
    """Run one step; DeepSpeed means the gradients over workers and packed batches, so the sums are scaled up again."""
    for group in engine.optimizer.param_groups:
        group["lr"] = rate
    weights = share.weights.to(engine.device)
    total = torch.zeros_like(weights)
    for batch in share.batches:
        parts = engine(batch.to(engine.device)) * weights
        engine.backward(parts.sum() * workers.size * workers.accumulation_steps)
        engine.step()
        total += parts.detach()
    if workers.size > 1:
        dist.all_reduce(total)
    solution, pairwise, pointwise = total.tolist()
    norm = engine.get_global_grad_norm()
    return StepResult(
        loss=solution + pairwise + pointwise,
        solution=solution,
        pairwise=pairwise,
        pointwise=pointwise,
        grad_norm=None if norm is None else float(norm),
        num_tokens=share.num_tokens,
    )
