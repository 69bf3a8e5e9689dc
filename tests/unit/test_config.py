import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metamath_ray import config
from metamath_ray.config import BootstrapConfig, FinetuneConfig, FrozenConfig, ServeEngineConfig, SourceConfig

FINETUNE_REFUSED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "finetune_refused.json").read_text("utf-8")
)
CONFIGS = [value for value in vars(config).values() if isinstance(value, type) and issubclass(value, FrozenConfig)]


def bootstrap_config(**settings: Any) -> BootstrapConfig:  # noqa: ANN401
    return BootstrapConfig(source=SourceConfig(format="word_problems", limit=1), **settings)


@pytest.mark.parametrize("config_class", CONFIGS)
def test_every_setting_is_explained(config_class: type[FrozenConfig]) -> None:
    for name, field in config_class.model_fields.items():
        assert field.description, f"{config_class.__name__}.{name} has no docstring"


def test_where_and_how_fast_work_runs_does_not_change_what_it_makes() -> None:
    here = bootstrap_config(engine=ServeEngineConfig(num_replicas=1), execution={"batch_size": 1})
    there = bootstrap_config(engine=ServeEngineConfig(num_replicas=8), execution={"batch_size": 99}, run_directory="b")
    assert here.content() == there.content()


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"prompt_set": "metamath"}, {"sampling": {"solve": {"temperature": 1}}}]
)
def test_what_changes_the_samples_changes_the_content(change: dict[str, Any]) -> None:
    assert bootstrap_config(**change).content() != bootstrap_config().content()


@pytest.mark.parametrize(
    "engine",
    [
        {"kind": "openai", "model": "m", "base_url": "api.example.org/v1"},
        {"kind": "openai", "model": "m", "base_url": "https://user:secret@example.org/v1"},
        {"kind": "serve", "engine_kwargs": {"hf_token": "secret"}},
        {"kind": "serve", "request_timeout_seconds": 10_000},
    ],
)
def test_an_engine_that_would_leak_or_never_retry_is_refused(engine: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        bootstrap_config(engine=engine)


def test_nothing_to_do_is_refused() -> None:
    nothing = {"answer_augmentation": 0, "rephrasing": 0, "self_verification": 0, "fobar": 0}
    with pytest.raises(ValidationError, match="nothing to do"):
        bootstrap_config(augmentation=nothing)


def finetune_config(*, stage: dict[str, Any] | None = None, run: dict[str, Any] | None = None) -> FinetuneConfig:
    stages = {"generator": {"solutions": {"rows": "rows.jsonl"}, **(stage or {})}}
    return FinetuneConfig.model_validate({"stages": stages, **(run or {})})


@pytest.mark.parametrize("case", FINETUNE_REFUSED, ids=lambda case: case["id"])
def test_a_fine_tuning_that_cannot_be_is_refused_at_construction(case: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        finetune_config(stage=case.get("stage"), run=case.get("run"))
    assert case["message"] in config.describe_validation_error(caught.value)


@pytest.mark.parametrize(
    ("stage", "run"),
    [
        ({}, {}),
        ({"global_batch_size": 4}, {"trainers": {"num_workers": 4, "min_workers": 4}}),
        ({"samples": {"path": "s"}, "pairwise_weight": 0, "pointwise_weight": 1}, {}),
        ({}, {"adapter": {"quantize": True}, "trainers": {"accelerator_type": "A10G", "zero_stage": 2}}),
        ({}, {"trainers": {"offload": True, "zero_stage": 1}}),
        ({}, {"held_out": {"problems": {"format": "gsm8k", "path": "p", "split": "validation"}}}),
    ],
)
def test_what_is_just_possible_is_accepted(stage: dict[str, Any], run: dict[str, Any]) -> None:
    assert list(finetune_config(stage=stage, run=run).stages) == ["generator"]


def test_which_machines_train_does_not_change_what_a_run_is() -> None:
    there = {"trainers": {"num_workers": 8, "zero_stage": 3}, "run_directory": "b", "trackers": ["mlflow"]}
    assert finetune_config(run=there).content() == finetune_config().content()


@pytest.mark.parametrize(
    ("stage", "run"),
    [
        ({"epochs": 2}, {}),
        ({"margin": 2}, {}),
        ({"optimizer": {"learning_rate": 1e-5}}, {}),
        ({}, {"seed": 1}),
        ({}, {"model": "m/m"}),
        ({}, {"adapter": {"rank": 8}}),
        ({}, {"prompt_set": "metamath"}),
    ],
)
def test_what_changes_the_weights_changes_what_a_run_is(stage: dict[str, Any], run: dict[str, Any]) -> None:
    assert finetune_config(stage=stage, run=run).content() != finetune_config().content()


@pytest.mark.parametrize(
    ("given", "kept", "written"),
    [("s", ("s",), "s"), (["s"], ("s",), "s"), (["s", "t"], ("s", "t"), ["s", "t"]), (None, None, None)],
)
def test_one_table_of_samples_is_the_same_alone_and_in_a_list(given: object, kept: object, written: object) -> None:
    draw = None if given else {"problems": {"format": "word_problems", "limit": 9}}
    run = finetune_config(stage={"samples": {"path": given, "draw": draw}})
    samples = run.stages["generator"].samples
    assert samples is not None
    assert samples.path == kept
    assert run.content()["stages"]["generator"]["samples"]["path"] == written
    assert FinetuneConfig.model_validate(run.model_dump(mode="json")) == run
