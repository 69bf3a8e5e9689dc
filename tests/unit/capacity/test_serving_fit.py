from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.capacity import GpuType, ModelShape, check_serving, load_gpus
from metamath_ray.capacity.serving_fit import MAX_TENSOR_PARALLEL
from metamath_ray.config import ServeEngineConfig
from metamath_ray.errors import ConfigError
from tests.unit.capacity.models import MODELS, cases, shape_of

GPUS = load_gpus()


@pytest.mark.parametrize("case", cases("serving.json"), ids=lambda case: case["id"])
def test_what_fits_passes_and_what_does_not_says_what_to_change(case: dict[str, Any]) -> None:
    config, shape = ServeEngineConfig(model=case["model"], **case["engine"]), shape_of(case["model"])
    if "refused" not in case:
        said = check_serving(config, shape, GPUS)
        assert bool(said) == ("not_checked" in case)
        assert all(part in said for part in case.get("not_checked", []))
        return
    with pytest.raises(ConfigError) as caught:
        check_serving(config, shape, GPUS)
    for part in case["refused"]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_of_unknown_size_is_said_to_be_unchecked() -> None:
    config = ServeEngineConfig(model="a/b", accelerator_type="L4")
    assert "not checked" in check_serving(config, None, GPUS)
    assert "not checked" in check_serving(config, shape_of("Qwen/Qwen3-8B", model_type="new"), GPUS)


def test_the_refusal_names_the_setting_as_the_configuration_does() -> None:
    config = ServeEngineConfig(model="Qwen/Qwen2.5-72B-Instruct", accelerator_type="H100", max_model_len=4096)
    with pytest.raises(ConfigError, match=r"set verifier\.tensor_parallel_size to 2"):
        check_serving(config, shape_of(config.model), GPUS, name="verifier")


def test_a_gpu_of_the_users_own_is_looked_up_in_the_users_file(tmp_path: Path) -> None:
    table = tmp_path / "gpus.yaml"
    table.write_text("Z9: 1000\nT4: 1\n", encoding="utf-8")
    config = ServeEngineConfig(model="Qwen/Qwen2.5-72B-Instruct", accelerator_type="Z9")
    assert check_serving(config, shape_of(config.model), load_gpus(str(table))) == ""
    assert load_gpus(str(table))["T4"].memory_gib == 1


def advised(message: str, setting: str) -> str:
    return message.partition(f"{setting} to ")[2].partition(" ")[0].strip(",;").replace(",", "")


models = st.sampled_from(sorted(MODELS)).map(shape_of)
sizes = st.integers(1, MAX_TENSOR_PARALLEL)
lengths = st.integers(16, 131_072)


def fits(shape: ModelShape, gpu: GpuType, size: int, length: int) -> bool:
    config = ServeEngineConfig(accelerator_type=gpu.name, tensor_parallel_size=size, max_model_len=length)
    try:
        return check_serving(config, shape, {gpu.name: gpu}) == ""
    except ConfigError:
        return False


@given(models, st.sampled_from(sorted(GPUS)), sizes, sizes, lengths)
def test_more_gpus_hold_what_fewer_hold(shape: ModelShape, kind: str, one: int, other: int, length: int) -> None:
    fewer, more = sorted((one, other))
    if shape.splits_over(more) and fits(shape, GPUS[kind], fewer, length):
        assert fits(shape, GPUS[kind], more, length)


@given(models, st.sampled_from(sorted(GPUS)), sizes, lengths)
def test_what_is_advised_fits(shape: ModelShape, kind: str, size: int, length: int) -> None:
    if not shape.splits_over(size):
        return
    config = ServeEngineConfig(accelerator_type=kind, tensor_parallel_size=size, max_model_len=length)
    try:
        check_serving(config, shape, GPUS)
    except ConfigError as error:
        said = str(error)
        if found := advised(said, "tensor_parallel_size"):
            assert fits(shape, GPUS[kind], int(found), length)
        if found := advised(said, "max_model_len"):
            assert fits(shape, GPUS[kind], size, int(found))
            assert int(found) < length
        if found := advised(said, "accelerator_type"):
            assert fits(shape, GPUS[found], size, length)
