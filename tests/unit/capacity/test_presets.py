from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from metamath_ray.capacity import check_serving, check_training, load_gpus
from metamath_ray.config import BootstrapConfig, FinetuneConfig, SampleConfig, ServeEngineConfig, SolveConfig
from tests.unit.capacity.models import shape_of

PRESETS = sorted((Path(__file__).parents[3] / "jobs" / "configs").glob("*.yaml"))
GPUS = load_gpus()


def on_gpu(kind: str) -> list[Any]:
    """Return the presets of a job that name a GPU."""
    found = [path for path in PRESETS if path.stem.startswith(f"{kind}_") and "accelerator_type" in path.read_text()]
    assert found
    return [pytest.param(yaml.safe_load(path.read_text("utf-8")), id=path.stem) for path in found]


def served(config: BootstrapConfig | SampleConfig | SolveConfig) -> Iterator[ServeEngineConfig]:
    engine = config.generator if isinstance(config, SolveConfig) else config.engine
    engines = [engine, None if isinstance(config, BootstrapConfig) else config.verifier]
    yield from (one for one in engines if isinstance(one, ServeEngineConfig) and one.accelerator_type)


@pytest.mark.parametrize("preset", on_gpu("bootstrap"))
def test_the_model_of_a_bootstrap_fits_the_gpu_that_it_names(preset: dict[str, Any]) -> None:
    for engine in served(BootstrapConfig.model_validate(preset)):
        assert check_serving(engine, shape_of(engine.model), GPUS) == ""


@pytest.mark.parametrize("preset", on_gpu("solve"))
def test_the_models_of_a_service_fit_the_gpus_that_it_names(preset: dict[str, Any]) -> None:
    for engine in served(SolveConfig.model_validate(preset)):
        assert check_serving(engine, shape_of(engine.model), GPUS) == ""


@pytest.mark.parametrize("preset", on_gpu("finetune"))
def test_a_fine_tuning_fits_the_gpus_that_it_names(preset: dict[str, Any]) -> None:
    config = FinetuneConfig.model_validate(preset)
    shape = shape_of(config.model)
    assert check_training(config, shape, GPUS) == ""
    for stage in config.stages.values():
        if stage.samples and stage.samples.draw:
            assert check_serving(stage.samples.draw.engine, shape, GPUS) == ""
