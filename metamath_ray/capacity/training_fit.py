"""Whether training can fit a GPU at all: weights, gradients and AdamW's state, spread as DeepSpeed's ZeRO spreads them.

Activations are left out, so what passes may still be too much; what is refused is certainly impossible.
Bytes a trained parameter (2 of the weight, 2 of the gradient, 12 of AdamW in 32 bits): ZeRO, arXiv 1910.02054, 3.1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from metamath_ray.capacity.gpus import GIB, GpuType
from metamath_ray.capacity.model_shape import ModelShape
from metamath_ray.config import AdapterConfig, FinetuneConfig
from metamath_ray.errors import ConfigError

WEIGHT_BYTES = 2
GRADIENT_BYTES = 2
STATE_BYTES = 12
"""In 32 bits: the weights' copy and AdamW's two moments."""
QUANTIZED_BYTES = 0.5
"""QLoRA's 4 bits; its scales left out."""
ATTENTION_MATRICES = 4
"""Of a layer's matrices, those that `adapter.targets: attention` adds to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """How the states of a training lie over its workers.

    Attributes:
        num_trained: Parameters that are trained.
        num_frozen: Parameters that an adapter leaves as they are.
        frozen_bytes: Bytes of one of these.
    """

    num_trained: int
    num_frozen: int
    frozen_bytes: float
    num_workers: int
    zero_stage: int
    offload: bool

    @property
    def gib(self) -> float:
        """What every GPU holds, at least."""
        weights = WEIGHT_BYTES * self.num_trained + self.frozen_bytes * self.num_frozen
        parts = (
            (STATE_BYTES * self.num_trained, 1, self.offload),
            (GRADIENT_BYTES * self.num_trained, 2, self.offload and self.zero_stage >= 2),
            (weights, 3, self.offload and self.zero_stage == 3),
        )
        shares = (self.num_workers if self.zero_stage >= split_from else 1 for _, split_from, _ in parts)
        held = (0 if is_away else size / share for (size, _, is_away), share in zip(parts, shares, strict=True))
        return sum(held) / GIB


def check_training(config: FinetuneConfig, shape: ModelShape | None, gpus: Mapping[str, GpuType]) -> str:
    """Refuse a training whose states alone exceed a GPU's memory.

    Args:
        shape: None where the model's size is not known.
        gpus: The table of `load_gpus`.

    Returns:
        What was not checked, and why; "" when all was, or it trains on CPU.

    Raises:
        ConfigError: It cannot fit; says what to change.
    """
    kind = config.trainers.accelerator_type
    if kind is None:
        return ""
    if kind not in gpus:
        return f"not checked: whether {config.model} can be trained on {kind}, whose memory is not known"
    if shape is None or not shape.num_parameters or (config.adapter and not shape.layer_matrices):
        return f"not checked: whether {config.model} can be trained on {kind} (its size is not known)"
    memory = memory_of(config, shape)
    if memory.gib > gpus[kind].memory_gib:
        raise ConfigError(
            f"{config.model} cannot be trained on {config.trainers.num_workers} {kind}: weights, gradients and "
            f"optimizer take {memory.gib:.1f} GiB of each, and it has {gpus[kind].memory_gib:g}; "
            f"{_advice(config, shape, gpus[kind])}"
        )
    return ""


def memory_of(config: FinetuneConfig, shape: ModelShape) -> Memory:
    """Say what the states of a training take; the shape has its parameters and, for an adapter, its matrices."""
    adapter, trainers, whole = config.adapter, config.trainers, shape.num_parameters or 0
    return Memory(
        num_trained=adapter_parameters(adapter, shape) if adapter else whole,
        num_frozen=whole if adapter else 0,
        frozen_bytes=QUANTIZED_BYTES if adapter and adapter.quantize else WEIGHT_BYTES,
        num_workers=trainers.num_workers,
        zero_stage=trainers.zero_stage,
        offload=trainers.offload,
    )


def adapter_parameters(adapter: AdapterConfig, shape: ModelShape) -> int:
    """Count what LoRA adds: two thin matrices beside each that it adapts."""
    adapted = shape.layer_matrices[: None if adapter.targets == "all" else ATTENTION_MATRICES]
    return shape.num_layers * adapter.rank * sum(inputs + outputs for inputs, outputs in adapted)


def _advice(config: FinetuneConfig, shape: ModelShape, gpu: GpuType) -> str:
    ways = [said for said, memory in _alternatives(config, memory_of(config, shape)) if memory.gib <= gpu.memory_gib]
    if not config.adapter:
        lora = config.model_copy(update={"adapter": AdapterConfig()})
        if shape.layer_matrices and memory_of(lora, shape).gib <= gpu.memory_gib:
            ways.append("train an adapter")
    return f"{', or '.join(ways)}" if ways else "take more trainers.num_workers with zero_stage 3, or a larger GPU"


def _alternatives(config: FinetuneConfig, memory: Memory) -> Iterator[tuple[str, Memory]]:
    is_quantized = config.adapter is not None and config.adapter.quantize
    if memory.zero_stage < 3 and not is_quantized:
        yield "set trainers.zero_stage to 3", replace(memory, zero_stage=3)
    if not memory.offload:
        stage = max(1, memory.zero_stage)
        yield (
            f"set trainers.offload{' and zero_stage 1' if stage > memory.zero_stage else ''}",
            replace(memory, offload=True, zero_stage=stage),
        )
    if not is_quantized and not (memory.zero_stage == 3 and memory.offload):
        yield "set trainers.zero_stage to 3 and trainers.offload", replace(memory, zero_stage=3, offload=True)
