"""DeepSpeed around a packed model: start, save, load on any number of workers, gather."""

import argparse
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from deepspeed.checkpoint import ds_to_universal
from torch import Tensor, nn
from transformers.integrations import HfDeepSpeedConfig

from metamath_ray.config import StageConfig, TrainersConfig

STATE = "state"
UNIVERSAL = "universal"
"""Folder of a checkpoint that was written anew for another number of workers."""


def start_engine(module: nn.Module, stage: StageConfig, config: dict[str, Any]) -> DeepSpeedEngine:
    """Wrap a module; only what requires a gradient is optimised."""
    optimizer = torch.optim.AdamW(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=stage.optimizer.learning_rate,
        betas=stage.optimizer.betas,
        weight_decay=stage.optimizer.weight_decay,
    )
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)
    return engine


def partitioned_loading(config: dict[str, Any], trainers: TrainersConfig) -> HfDeepSpeedConfig | None:
    """With ZeRO-3, make Transformers split weights over the workers while it loads; keep what this returns alive."""
    if trainers.zero_stage != 3:
        return None
    deepspeed.init_distributed()  # loading asks DeepSpeed, not torch, how many workers there are
    return HfDeepSpeedConfig(config)


def save_state(engine: DeepSpeedEngine, folder: Path, *, step: int, num_workers: int) -> None:
    """Write this worker's part of a checkpoint, without what is frozen; every worker calls it."""
    client_state = {"step": step, "num_workers": num_workers}
    engine.save_checkpoint(str(folder), tag=STATE, client_state=client_state, exclude_frozen_parameters=True)


def load_state(engine: DeepSpeedEngine, folder: Path, *, universal: bool) -> int:
    """Load a checkpoint and return the number of steps done; every worker calls it."""
    is_whole = all(parameter.requires_grad for parameter in engine.module.parameters())
    tag = UNIVERSAL if universal else STATE
    _, state = engine.load_checkpoint(str(folder), tag=tag, load_module_strict=is_whole)
    return int(state["step"])


def needs_conversion(folder: Path, trainers: TrainersConfig, num_workers: int) -> bool:
    """Whether a checkpoint was split over another number of workers; one without ZeRO is not split."""
    return trainers.zero_stage > 0 and len(list((folder / STATE).glob("*optim_states.pt"))) != num_workers


def convert(folder: Path, destination: Path) -> None:
    """Write a checkpoint anew, below `destination`, so that any number of workers can load it."""
    ds_to_universal.main(
        argparse.Namespace(
            input_folder=str(folder / STATE),
            output_folder=str(destination / UNIVERSAL),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=True,
        )
    )


def gathered_weights(engine: DeepSpeedEngine, *, only_trained: bool) -> dict[str, Tensor]:
    """Return the weights on CPU at rank 0, and {} elsewhere; with ZeRO-3, one tensor at a time is whole."""
    found: dict[str, Tensor] = {}
    for name, parameter in engine.module.model.named_parameters():
        if only_trained and not parameter.requires_grad:
            continue
        with deepspeed.zero.GatheredParameters([parameter], enabled=hasattr(parameter, "ds_id")):
            if dist.get_rank() == 0:
                found[name] = parameter.detach().to("cpu", copy=True)
    return found
