from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.capacity import check_training, load_gpus
from metamath_ray.capacity.training_fit import Memory, adapter_parameters
from metamath_ray.config import AdapterConfig, FinetuneConfig
from metamath_ray.errors import ConfigError
from tests.unit.capacity.models import cases, shape_of

GPUS = load_gpus()


def config_of(case: dict[str, Any]) -> FinetuneConfig:
    stages = {"generator": {"solutions": {"rows": "rows.jsonl"}}}
    settings = {"model": case["model"], "trainers": case["trainers"], "adapter": case.get("adapter")}
    return FinetuneConfig.model_validate({"stages": stages, **settings})


@pytest.mark.parametrize("case", cases("training.json"), ids=lambda case: case["id"])
def test_only_what_certainly_exceeds_the_memory_is_refused(case: dict[str, Any]) -> None:
    config, shape = config_of(case), shape_of(case["model"])
    if "refused" not in case:
        said = check_training(config, shape, GPUS)
        assert bool(said) == ("not_checked" in case)
        assert all(part in said for part in case.get("not_checked", []))
        return
    with pytest.raises(ConfigError) as caught:
        check_training(config, shape, GPUS)
    for part in case["refused"]:
        assert part in str(caught.value)


def test_a_model_of_unknown_size_is_said_to_be_unchecked() -> None:
    config = config_of({"model": "a/b", "trainers": {"accelerator_type": "L4"}})
    assert "not checked" in check_training(config, None, GPUS)


def test_an_adapter_has_two_thin_matrices_for_each_that_it_adapts() -> None:
    shape = shape_of("mistralai/Mistral-7B-v0.1")
    attention = (4096 + 4096) + 2 * (4096 + 1024) + (4096 + 4096)
    mlp = 2 * (4096 + 14336) + (14336 + 4096)
    assert adapter_parameters(AdapterConfig(rank=8, targets="attention"), shape) == 32 * 8 * attention
    assert adapter_parameters(AdapterConfig(rank=8), shape) == 32 * 8 * (attention + mlp)


@pytest.mark.parametrize(
    ("zero_stage", "offload", "bytes_a_parameter"),
    [
        (0, False, 16.0),
        (1, False, 2 + 2 + 12 / 4),
        (2, False, 2 + (2 + 12) / 4),
        (3, False, 16 / 4),
        (1, True, 2 + 2),
        (2, True, 2),
        (3, True, 0),
    ],
)
def test_zero_splits_optimizer_then_gradients_then_weights(
    zero_stage: int, offload: bool, bytes_a_parameter: float
) -> None:
    memory = Memory(
        num_trained=2**30, num_frozen=0, frozen_bytes=2, num_workers=4, zero_stage=zero_stage, offload=offload
    )
    assert memory.gib == bytes_a_parameter


@given(st.integers(0, 3), st.integers(1, 64), st.integers(1, 64))
def test_more_workers_never_hold_more_each(zero_stage: int, one: int, other: int) -> None:
    few, many = (
        Memory(
            num_trained=2**30, num_frozen=2**30, frozen_bytes=2, num_workers=count, zero_stage=zero_stage, offload=False
        )
        for count in sorted((one, other))
    )
    assert many.gib <= few.gib
