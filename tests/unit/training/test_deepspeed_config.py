import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.config import OptimizerConfig, SolutionsConfig, StageConfig, TrainersConfig
from metamath_ray.training.deepspeed_config import accumulation_steps, deepspeed_config, learning_rate_at

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "training" / "deepspeed.json").read_text("utf-8")
)


def stage_of(global_batch_size: int, max_grad_norm: float = 1.0) -> StageConfig:
    return StageConfig(
        solutions=SolutionsConfig(rows="rows.jsonl"),
        global_batch_size=global_batch_size,
        optimizer=OptimizerConfig(max_grad_norm=max_grad_norm),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_settings_become_deepspeeds(case: dict[str, Any]) -> None:
    stage = stage_of(case["global"], case.get("max_grad_norm", 1.0))
    found = deepspeed_config(stage, TrainersConfig(**case["trainers"]), case["workers"])
    assert {key: found[key] for key in case["expected"]} == case["expected"]
    assert "checkpoint" not in found
    json.dumps(found)


def test_a_checkpoint_of_another_number_of_workers_is_loaded_as_universal() -> None:
    found = deepspeed_config(stage_of(8), TrainersConfig(), 2, universal=True)
    assert found["checkpoint"] == {"load_universal": True}


@given(st.data(), st.integers(1, 64), st.integers(1, 32))
def test_every_worker_has_equally_many_batches_and_no_batch_is_empty(
    data: st.DataObject, num_workers: int, micro_batch_size: int
) -> None:
    """What DeepSpeed itself demands of its three numbers, and what `partition` can fill."""
    stage = stage_of(data.draw(st.integers(num_workers, 512)))
    trainers = TrainersConfig(micro_batch_size=micro_batch_size)
    found = deepspeed_config(stage, trainers, num_workers)
    accumulation = accumulation_steps(stage, trainers, num_workers)
    assert found["gradient_accumulation_steps"] == accumulation >= 1
    assert found["train_batch_size"] == num_workers * accumulation * found["train_micro_batch_size_per_gpu"]
    assert found["train_batch_size"] <= stage.global_batch_size
    rows_at_once = stage.global_batch_size / found["train_batch_size"]
    assert rows_at_once <= micro_batch_size or rows_at_once < 2


def rates(schedule: str, *, num_steps: int = 100, warmup_ratio: float = 0.1) -> list[float]:
    optimizer = OptimizerConfig.model_validate(
        {"learning_rate": 2.0, "warmup_ratio": warmup_ratio, "schedule": schedule}
    )
    return [learning_rate_at(step, num_steps, optimizer) for step in range(num_steps)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_in_a_line_to_its_highest(schedule: str) -> None:
    assert rates(schedule)[:10] == pytest.approx([0.2 * number for number in range(1, 11)])
    assert rates(schedule, warmup_ratio=0)[0] == 2.0
    assert rates(schedule, num_steps=1) == [2.0]


def test_the_rate_falls_as_the_schedule_says() -> None:
    assert rates("cosine")[55] == pytest.approx(1.0)
    assert rates("cosine")[10 + 30] == pytest.approx(1.5)
    assert rates("linear")[10 + 30] == pytest.approx(2.0 * 2 / 3)
    assert set(rates("constant")[10:]) == {2.0}
    assert 0 < rates("cosine")[-1] < 0.001
    assert 0 < rates("linear")[-1] < 0.025


@given(st.sampled_from(["cosine", "linear", "constant"]), st.integers(1, 300), st.floats(0, 1, exclude_max=True))
def test_a_rate_is_above_zero_and_never_above_its_highest(schedule: str, num_steps: int, warmup: float) -> None:
    found = rates(schedule, num_steps=num_steps, warmup_ratio=warmup)
    assert all(0 < rate <= 2.0 for rate in found)
    highest = found.index(max(found))
    assert found[: highest + 1] == sorted(found[: highest + 1])
    assert found[highest:] == sorted(found[highest:], reverse=True)


@pytest.mark.parametrize(
    ("zero_stage", "accelerator_type", "expected"),
    [(0, "H100", None), (1, "H100", "fp32"), (2, "H100", "fp32"), (3, "H100", "fp32"), (2, None, None)],
)
def test_gradients_are_summed_in_float32_where_deepspeed_can(
    zero_stage: Any,  # noqa: ANN401
    accelerator_type: str | None,
    expected: str | None,
) -> None:
    found = deepspeed_config(stage_of(8), TrainersConfig(zero_stage=zero_stage, accelerator_type=accelerator_type), 2)
    assert found.get("data_types", {}).get("grad_accum_dtype") == expected
