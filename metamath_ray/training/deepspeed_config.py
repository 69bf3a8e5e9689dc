"""From our configuration to DeepSpeed's JSON and to the learning rate of a step; pure."""

import math
from typing import Any

from metamath_ray.config import OptimizerConfig, StageConfig, TrainersConfig


def accumulation_steps(stage: StageConfig, trainers: TrainersConfig, num_workers: int) -> int:
    """Return how many packed batches each worker takes a step: of at most `micro_batch_size` rows on average.

    Where the global batch has too few rows to give each worker so many batches, there are fewer and fuller ones.
    """
    wanted = math.ceil(stage.global_batch_size / (num_workers * trainers.micro_batch_size))
    return max(1, min(wanted, stage.global_batch_size // num_workers))


def deepspeed_config(
    stage: StageConfig, trainers: TrainersConfig, num_workers: int, *, universal: bool = False
) -> dict[str, Any]:
    """Return DeepSpeed's configuration for one stage on so many workers.

    Args:
        stage: Batch size and gradient norm.
        trainers: ZeRO stage, offload, precision (bfloat16 on a GPU, float32 on a CPU).
        num_workers: Workers that train now; may be fewer than were asked for, after a node was lost.
        universal: Load a checkpoint that was converted for another number of workers.
    """
    accumulation = accumulation_steps(stage, trainers, num_workers)
    config: dict[str, Any] = {
        "train_batch_size": num_workers * accumulation,  # in packed sequences
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": stage.optimizer.max_grad_norm,
        "bf16": {"enabled": trainers.accelerator_type is not None},
        "zero_optimization": _zero(trainers),
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
    if trainers.accelerator_type and trainers.zero_stage:  # DeepSpeed has no such mix without ZeRO
        config["data_types"] = {"grad_accum_dtype": "fp32"}
    if universal:
        config["checkpoint"] = {"load_universal": True}
    return config


def _zero(trainers: TrainersConfig) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": trainers.zero_stage, "overlap_comm": trainers.accelerator_type is not None}
    if trainers.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": trainers.accelerator_type is not None}
    if trainers.offload and trainers.zero_stage == 3:
        zero["offload_param"] = {"device": "cpu", "pin_memory": trainers.accelerator_type is not None}
    return zero


def learning_rate_at(step: int, num_steps: int, optimizer: OptimizerConfig) -> float:
    """Return the rate of a step, counted from 0: linear warm-up, then the schedule.

    Cosine and linear fall to zero at `num_steps`, the step after the last.
    """
    warmup = math.ceil(optimizer.warmup_ratio * num_steps)
    if step < warmup:
        return optimizer.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, num_steps - warmup)
    match optimizer.schedule:
        case "cosine":
            return optimizer.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return optimizer.learning_rate * (1 - done)
        case "constant":
            return optimizer.learning_rate
