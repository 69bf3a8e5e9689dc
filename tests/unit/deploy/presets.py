"""What the presets in jobs/configs ask of a cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from metamath_ray.config import BootstrapConfig, EngineConfig, FinetuneConfig, ServeEngineConfig, SolveConfig, read_yaml

ROOT = Path(__file__).parents[3]
GPU_PRESETS = tuple(
    path.name
    for path in sorted((ROOT / "jobs" / "configs").glob("*.yaml"))
    if "accelerator_type" in path.read_text(encoding="utf-8")
)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """So many equal bundles, each on one node."""

    accelerator_type: str
    gpus: int
    cpus: float
    number: int


def demands(preset: str) -> Iterator[Demand]:
    """Yield what a preset needs at once, GPUs alone."""
    settings = read_yaml(ROOT / "jobs" / "configs" / preset)
    if "stages" in settings:
        yield from _finetuning(FinetuneConfig.model_validate(settings))
    elif "generator" in settings:
        solve = SolveConfig.model_validate(settings)
        yield from _engine(solve.generator, solve.autoscaling.generator.max_replicas)
    else:
        yield from _bootstrap(settings)


def _bootstrap(settings: dict[str, Any]) -> Iterator[Demand]:
    engine: Any = TypeAdapter(EngineConfig).validate_python(settings["engine"])
    if "augmentation" in settings:
        engine = BootstrapConfig.model_validate(settings).engine
    if isinstance(engine, ServeEngineConfig):
        yield from _engine(engine, engine.num_replicas)


def _finetuning(config: FinetuneConfig) -> Iterator[Demand]:
    trainers = config.trainers
    if trainers.accelerator_type:
        gpu = trainers.accelerator_type
        yield Demand(accelerator_type=gpu, gpus=1, cpus=trainers.cpus_per_worker, number=trainers.num_workers)
    for stage in config.stages.values():
        if stage.samples and stage.samples.draw:
            yield from _engine(stage.samples.draw.engine, stage.samples.draw.engine.num_replicas)


def _engine(engine: ServeEngineConfig, num_replicas: int) -> Iterator[Demand]:
    if engine.accelerator_type:
        gpus = engine.tensor_parallel_size
        yield Demand(accelerator_type=engine.accelerator_type, gpus=gpus, cpus=1, number=num_replicas)
