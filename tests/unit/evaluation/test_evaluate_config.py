import pytest
from pydantic import ValidationError

from metamath_ray.arguments import parse_arguments
from metamath_ray.config.evaluate import EvaluateCommand, EvaluateConfig, SampleSetConfig
from metamath_ray.evaluation import Precision


@pytest.mark.parametrize("model", [SampleSetConfig, EvaluateConfig, EvaluateCommand])
def test_every_setting_is_explained(model: type[EvaluateConfig]) -> None:
    assert all(field.description for field in model.model_fields.values())


def test_precision_has_one_set_of_defaults() -> None:
    config = EvaluateConfig(models={"base": SampleSetConfig(path="runs/sample")})
    assert (config.num_orderings, config.num_resamples, config.seed) == (
        Precision().num_orderings, Precision().num_resamples, Precision().seed,
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings", [{"models": {}}, {"models": {"base": {"path": "x", "format": "csv"}}}, {"models": {"base": {}}}]
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EvaluateConfig.model_validate(settings)


def test_a_path_alone_is_a_set_of_samples() -> None:
    command = parse_arguments(EvaluateCommand, ["--models", "teacher=runs/teacher"], program="test")
    assert command.models["teacher"].path == "runs/teacher"
