from typing import Any

import pytest
from pydantic import ValidationError

from metamath_ray import config
from metamath_ray.config import BootstrapConfig, FrozenConfig, ServeEngineConfig, SourceConfig

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
