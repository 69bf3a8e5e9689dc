from typing import Any, get_args

import pytest

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import ServeCommand, SolveCommand, SolveConfig
from metamath_ray.config.solve import StrategyName
from metamath_ray.errors import ConfigError
from metamath_ray.reranking import Strategy


def test_strategies_have_one_set_of_names() -> None:
    assert set(get_args(StrategyName)) == {strategy.value for strategy in Strategy}


@pytest.mark.parametrize(
    ("given", "verifier"),
    [
        ({}, "embedded:verifier"),
        ({"generator": {"max_num_seqs": 8}}, "embedded:verifier"),
        ({"verifier": None}, None),
        ({"generator": {"model": "owner/name"}, "prompt_set": "chat"}, None),
        (
            {
                "generator": {"model": "owner/name"},
                "prompt_set": "chat",
                "verifier": {"model": "owner/judge"},
                "verifier_prompt": "paper",
            },
            "owner/judge",
        ),
    ],
)
def test_the_embedded_verifier_judges_the_embedded_generator_alone(given: dict[str, Any], verifier: str | None) -> None:
    config = SolveConfig.model_validate(given)
    assert (config.verifier.model if config.verifier else None) == verifier


def test_one_model_may_be_both() -> None:
    engine = {"model": "owner/name"}
    prompts = {"prompt_set": "chat", "verifier_prompt": "paper"}
    config = SolveConfig.model_validate({"generator": engine, "verifier": engine, **prompts})
    assert config.shares_weights
    assert not SolveConfig().shares_weights


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--generator.model", "owner/name"], "prompt_set"),
        (["--verifier.model", "owner/judge"], "verifier_prompt"),
        (["--generator.attach", "llm"], "generator.attach"),
        (["--num-samples", "65"], "limits.max_samples (64)"),
        (["--sampling.max-tokens", "4096"], "limits.max_tokens (2048)"),
        (["--limits.default-time-limit-seconds", "600"], "max_time_limit_seconds (300)"),
        (["--autoscaling.ingress.min-replicas", "2"], "max_replicas (1)"),
        (["--access.keys", '{"ann": "secret"}'], "keys.ann is not a SHA-256"),
    ],
)
def test_a_service_that_cannot_be_is_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments(ServeCommand, arguments, program="metamath-ray serve")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_request_says_what_was_said_and_nothing_else() -> None:
    plain = parse_arguments(SolveCommand, ["How many?"], program="metamath-ray solve")
    full = parse_arguments(
        SolveCommand,
        ["How many?", "--num-samples", "4", "--strategy", "best_of_n", "--adaptive"],
        program="metamath-ray solve",
    )
    assert plain.body() == {"question": "How many?"}
    assert full.body() == {"question": "How many?", "num_samples": 4, "strategy": "best_of_n", "adaptive": {}}
