"""Whether vLLM can hold a model: weights, one sequence of full length, and room to work in, on each GPU.

    utilization × memory of a GPU  ≥  weights / TP + cache of one sequence on this GPU + room to work in

The left side is what vLLM takes of a GPU. Below the right side it does not start; more of it is more sequences at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from metamath_ray.capacity.gpus import GIB, GpuType
from metamath_ray.capacity.model_shape import DTYPE_BYTES, ModelShape
from metamath_ray.config import ServeEngineConfig
from metamath_ray.errors import ConfigError

UTILIZATION = 0.92
"""vLLM 0.29's default of `gpu_memory_utilization`."""
WORKING_GIB = 1.5
"""Activations of one step, CUDA graphs, communication: a guess, which the presets of jobs/configs leave room for."""
MAX_TENSOR_PARALLEL = 16
SHORTEST_USEFUL_TOKENS = 512
"""A shorter context holds no question with its solution."""
NOT_MODELLED = ("quantization", "pipeline_parallel_size", "hf_overrides", "kv_cache_memory_bytes")
"""Of vLLM's arguments, those that change what a GPU holds in ways that are not computed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one replica needs, and what it may have.

    Attributes:
        tensor_parallel_size: GPUs that share the model.
        num_tokens: Longest sequence.
        weight_bytes: All weights.
        value_bytes: Bytes of one number in the cache.
        utilization: Share of a GPU's memory that vLLM takes.
        offloaded_gib: Weights a GPU that stay in CPU memory.
    """

    shape: ModelShape
    tensor_parallel_size: int
    num_tokens: int
    weight_bytes: int
    value_bytes: int
    utilization: float
    offloaded_gib: float = 0.0

    @property
    def weights_gib(self) -> float:
        """Weights on one GPU."""
        return max(0.0, self.weight_bytes / self.tensor_parallel_size / GIB - self.offloaded_gib)

    @property
    def cache_gib(self) -> float:
        """One sequence of full length on one GPU; heads that cannot be split are copied."""
        heads = max(1, self.shape.num_kv_heads // self.tensor_parallel_size)
        of_all = self.shape.kv_bytes(self.num_tokens, value_bytes=self.value_bytes)
        return of_all * heads / self.shape.num_kv_heads / GIB

    def fits(self, gpu: GpuType) -> bool:
        """Whether it fits such a GPU."""
        return self.weights_gib + self.cache_gib + WORKING_GIB <= self.utilization * gpu.memory_gib

    def longest(self, gpu: GpuType) -> int:
        """Return how many tokens the longest sequence may have there; 0 where not even the weights fit."""
        left = self.utilization * gpu.memory_gib - self.weights_gib - WORKING_GIB
        one = replace(self, num_tokens=1).cache_gib
        return max(0, int(left / one))


def check_serving(
    config: ServeEngineConfig, shape: ModelShape | None, gpus: Mapping[str, GpuType], *, name: str = "engine"
) -> str:
    """Refuse a deployment that vLLM could not start.

    Args:
        shape: None where the model's size is not known.
        gpus: The table of `load_gpus`.
        name: What the settings are called in the configuration.

    Returns:
        What was not checked, and why; "" when all was.

    Raises:
        ConfigError: It cannot fit, or its heads cannot be split; says what to change.
    """
    if shape is None:
        return f"not checked: whether {config.model} fits (its config.json is neither here nor to be had)"
    if unknown := [argument for argument in NOT_MODELLED if config.engine_kwargs.get(argument)]:
        return f"not checked: whether {config.model} fits with {name}.engine_kwargs.{unknown[0]}"
    asked = _as_passed(config)
    _check_heads(asked, shape, name)
    if asked.accelerator_type is None:
        _check_cpu_cache(asked, shape, name)
        return ""
    gpu, need = gpus.get(asked.accelerator_type), _need(asked, shape)
    if gpu is None:
        return (
            f"not checked: whether {asked.model} fits {asked.accelerator_type}, whose memory is not known; name a "
            f"file that has it as {name}.gpu_table"
        )
    if need is None:
        return f"not checked: whether {asked.model} fits {gpu.name} (neither its files nor its family tell its size)"
    if not need.fits(gpu):
        raise ConfigError(_refusal(asked, need, gpu, gpus, name))
    return ""


def _as_passed(config: ServeEngineConfig) -> ServeEngineConfig:
    """Return the settings under what `engine_kwargs` overrides."""
    own = {"tensor_parallel_size", "max_model_len", "dtype"} & config.engine_kwargs.keys()
    return config.model_copy(update={argument: config.engine_kwargs[argument] for argument in own})


def _check_heads(config: ServeEngineConfig, shape: ModelShape, name: str) -> None:
    asked = config.tensor_parallel_size
    if not shape.splits_over(asked):
        possible = [size for size in range(1, MAX_TENSOR_PARALLEL + 1) if shape.splits_over(size)]
        raise ConfigError(
            f"{name}.tensor_parallel_size is {asked}, and {config.model} has {shape.num_heads} attention heads and "
            f"{shape.num_kv_heads} key-value heads, which do not split so; give one of {', '.join(map(str, possible))}"
        )


def _check_cpu_cache(config: ServeEngineConfig, shape: ModelShape, name: str) -> None:
    """Look at the cache alone: what memory the CPU's machine has is not known here."""
    value_bytes = DTYPE_BYTES.get("float32" if config.dtype == "auto" else config.dtype, 4)
    num_tokens = config.max_model_len or shape.context_length
    needed = shape.kv_bytes(num_tokens, value_bytes=value_bytes) / GIB / config.tensor_parallel_size
    if needed > config.kv_cache_gib:
        raise ConfigError(
            f"{name}.kv_cache_gib is {config.kv_cache_gib}, and one sequence of {num_tokens:,} tokens of "
            f"{config.model} takes {needed:.1f} GiB; set it to {math.ceil(needed)}, or {name}.max_model_len to "
            f"{int(num_tokens * config.kv_cache_gib / needed):,} or less"
        )


def _need(config: ServeEngineConfig, shape: ModelShape) -> Need | None:
    """Say what a replica on GPUs needs; None where the size of the weights is not known."""
    stored = "float16" if shape.dtype == "float32" else shape.dtype  # what vLLM's "auto" makes of it
    value_bytes = DTYPE_BYTES.get(stored if config.dtype == "auto" else config.dtype, 2)
    plain = shape.num_parameters * value_bytes if shape.num_parameters else None
    if (weight_bytes := shape.quantized_bytes or plain) is None:
        return None
    arguments = config.engine_kwargs
    is_small = arguments.get("kv_cache_dtype", "auto") not in ("auto", "bfloat16", "float16")
    return Need(
        shape=shape,
        tensor_parallel_size=config.tensor_parallel_size,
        num_tokens=config.max_model_len or shape.context_length,
        weight_bytes=weight_bytes,
        value_bytes=1 if is_small else value_bytes,
        utilization=float(arguments.get("gpu_memory_utilization", UTILIZATION)),
        offloaded_gib=float(arguments.get("cpu_offload_gb", 0)),
    )


def smallest_tensor_parallel(need: Need, gpu: GpuType) -> int | None:
    """Return the fewest GPUs that hold the model, None where even the most do not."""
    sizes = (size for size in range(1, MAX_TENSOR_PARALLEL + 1) if need.shape.splits_over(size))
    return next((size for size in sizes if replace(need, tensor_parallel_size=size).fits(gpu)), None)


def _refusal(config: ServeEngineConfig, need: Need, gpu: GpuType, gpus: Mapping[str, GpuType], name: str) -> str:
    return (
        f"{config.model} does not fit {gpu.name}: vLLM may take {need.utilization * gpu.memory_gib:.1f} GiB of each "
        f"GPU ({need.utilization:g} of {gpu.memory_gib:g}), and needs {need.weights_gib:.1f} GiB for the weights, "
        f"{need.cache_gib:.1f} GiB for one sequence of {need.num_tokens:,} tokens and {WORKING_GIB:g} GiB to work in; "
        f"{', or '.join(_ways_out(need, gpu, gpus, name)) or 'take a smaller or a quantized model'}"
    )


def _ways_out(need: Need, gpu: GpuType, gpus: Mapping[str, GpuType], name: str) -> list[str]:
    ways = []
    if (size := smallest_tensor_parallel(need, gpu)) is not None:
        ways.append(f"set {name}.tensor_parallel_size to {size}")
    if (longest := need.longest(gpu)) >= SHORTEST_USEFUL_TOKENS:
        ways.append(f"set {name}.max_model_len to {longest:,} or less")
    larger = sorted((other for other in gpus.values() if need.fits(other)), key=lambda other: other.memory_gib)
    if larger:
        ways.append(f"set {name}.accelerator_type to {larger[0].name}")
    return ways
