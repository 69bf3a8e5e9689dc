"""When a run has cost enough."""

from dataclasses import dataclass

from metamath_ray.config import BudgetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may spend, and what things cost.

    Attributes:
        tokens: Most tokens, prompts and completions together; None without a limit.
        money: Most money; None without a limit.
        price_per_million_tokens: None where tokens are not what is paid for.
        price_per_hour: Of all GPUs together; None where hours are not what is paid for.
    """

    tokens: int | None
    money: float | None
    price_per_million_tokens: float | None
    price_per_hour: float | None

    def cost(self, num_tokens: int, seconds: float) -> float:
        """Return the money that tokens and time have cost."""
        by_tokens = num_tokens / 1e6 * (self.price_per_million_tokens or 0.0)
        return by_tokens + seconds / 3600 * (self.price_per_hour or 0.0)

    def reached(self, num_tokens: int, seconds: float) -> str:
        """Say which limit is reached; "" while none is."""
        if self.tokens is not None and num_tokens >= self.tokens:
            return f"{num_tokens:,} of {self.tokens:,} tokens"
        if self.money is not None and (cost := self.cost(num_tokens, seconds)) >= self.money:
            return f"{_amount(cost)} of {_amount(self.money)} in money"
        return ""


def _amount(money: float) -> str:
    return f"{money:,.2f}" if money >= 1 else f"{money:.2g}"


def budget_of(
    config: BudgetConfig, *, price_per_million_tokens: float | None, price_per_gpu_hour: float | None, num_gpus: int
) -> Budget | None:
    """Return the budget of a run; None where it has none.

    Args:
        num_gpus: GPUs that are paid for while it runs.
    """
    if config.tokens is None and config.money is None:
        return None
    return Budget(
        tokens=config.tokens,
        money=config.money,
        price_per_million_tokens=price_per_million_tokens,
        price_per_hour=None if price_per_gpu_hour is None else price_per_gpu_hour * num_gpus,
    )
