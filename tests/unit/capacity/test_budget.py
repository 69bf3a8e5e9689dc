import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metamath_ray.capacity import Budget, budget_of
from metamath_ray.config import BootstrapConfig, PlanCommand, SampleConfig
from metamath_ray.config.bootstrap import BudgetConfig

GPU = {"kind": "serve", "accelerator_type": "H100", "model": "a/b"}
PROBLEMS = {"format": "word_problems", "limit": 1}


def budget(**limits: float) -> Budget:
    found = budget_of(
        BudgetConfig.model_validate(limits), price_per_million_tokens=2.0, price_per_gpu_hour=3.0, num_gpus=4
    )
    assert found
    return found


def test_no_limit_is_no_budget() -> None:
    assert budget_of(BudgetConfig(), price_per_million_tokens=1.0, price_per_gpu_hour=None, num_gpus=0) is None


def test_a_limit_of_tokens_is_reached_at_the_limit() -> None:
    assert budget(tokens=1000).reached(999, 1e9) == ""
    assert budget(tokens=1000).reached(1000, 0) == "1,000 of 1,000 tokens"


def test_money_is_tokens_and_gpu_hours_together() -> None:
    assert budget(money=16).cost(2_000_000, 3600) == 2 * 2.0 + 4 * 3.0
    assert budget(money=16).reached(1_999_999, 3600) == ""
    assert budget(money=16).reached(2_000_000, 3600) == "16.00 of 16.00 in money"


@given(st.integers(0, 10**9), st.floats(0, 1e6), st.integers(0, 10**9), st.floats(0, 1e6))
def test_what_is_reached_stays_reached(tokens: int, seconds: float, more_tokens: int, more_seconds: float) -> None:
    limited = budget(tokens=10**8, money=500)
    if limited.reached(tokens, seconds):
        assert limited.reached(tokens + more_tokens, seconds + more_seconds)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": {"money": 5}, "engine": GPU}, "budget.money needs price_per_million_tokens or price_per_gpu_hour"),
        ({"budget": {"money": 5}, "price_per_gpu_hour": 2}, "uses no GPU of yours"),
        ({"budget": {"money": 0}, "price_per_million_tokens": 2}, "greater than 0"),
        ({"budget": {"tokens": 0}}, "greater than or equal to 1"),
    ],
)
@pytest.mark.parametrize("config", [BootstrapConfig, SampleConfig])
def test_a_budget_that_nothing_counts_towards_is_refused(
    config: type[BootstrapConfig] | type[SampleConfig], settings: dict[str, object], message: str
) -> None:
    source = "source" if config is BootstrapConfig else "problems"
    with pytest.raises(ValidationError, match=message):
        config.model_validate({source: PROBLEMS, "prompt_set": "chat", **settings})


def test_a_larger_budget_does_not_change_what_a_run_is() -> None:
    small, large = (BootstrapConfig.model_validate({"source": PROBLEMS, "budget": {"tokens": n}}) for n in (5, 10))
    assert small.content() == large.content()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpu": "H100"}, "the sample runs on CPU: give tokens_per_second, measured on H100"),
        ({"gpu": "H100", "engine": {**GPU, "accelerator_type": "L4"}}, "the sample runs on L4"),
        ({"gpu": "H100", "tokens_per_second": 9, "sample_items": 0}, "how many tokens an item takes"),
        ({"tokens_per_second": 9}, "give gpu"),
        ({"prices": "prices.yaml"}, "give gpu"),
    ],
)
def test_a_plan_that_would_have_to_guess_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PlanCommand.model_validate({"source": PROBLEMS, **settings})


@pytest.mark.parametrize("settings", [{"gpu": "H100", "engine": GPU}, {"gpu": "L4", "tokens_per_second": 900}])
def test_a_plan_takes_the_speed_of_the_sample_or_the_users(settings: dict[str, object]) -> None:
    assert PlanCommand.model_validate({"source": PROBLEMS, **settings}).num_gpus == 1
