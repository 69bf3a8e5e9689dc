"""What a run costs on GPUs of a kind: hours out of tokens and speed, money out of hours and a table that users edit."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from metamath_ray.config import FrozenConfig, describe_validation_error, read_yaml
from metamath_ray.errors import ConfigError

TABLE_PATH = Path(__file__).with_name("prices.yaml")


class PriceTable(FrozenConfig):
    """The file of prices."""

    as_of: date | str
    """When the prices were looked up."""
    currency: str
    """What they are in."""
    gpu_hour: dict[str, float]
    """Ray's accelerator_type → price of one GPU for an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an hour of one GPU costs.

    Attributes:
        source: Where the figure is from, and of when.
    """

    gpu_hour: float
    currency: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """A run on GPUs of a kind.

    Attributes:
        num_tokens: Completion tokens of the whole run.
        tokens_per_second: Completion tokens of one GPU; N GPUs are taken to make N times as many.
        speed_source: Where that figure was measured.
        price: None where the table has no such GPU.
    """

    gpu: str
    num_gpus: int
    num_tokens: float
    tokens_per_second: float
    speed_source: str
    price: Price | None

    @property
    def hours(self) -> float:
        """Wall time, without start-up."""
        return self.num_tokens / (self.tokens_per_second * self.num_gpus) / 3600

    @property
    def gpu_hours(self) -> float:
        """Wall time of all GPUs together."""
        return self.hours * self.num_gpus

    @property
    def money(self) -> float | None:
        """Cost of the GPUs; None without a price."""
        return self.gpu_hours * self.price.gpu_hour if self.price else None

    def lines(self) -> list[str]:
        """Say what the run takes, and which figure is from where."""
        said = [
            f"on {self.num_gpus} × {self.gpu}: about {self.hours:,.2f} hours, {self.gpu_hours:,.1f} GPU-hours, at "
            f"{self.tokens_per_second:,.0f} completion tokens/s a GPU ({self.speed_source}); "
            "tokens an item were measured on the sample here"
        ]
        if self.price is None:
            return [*said, f"no price: the table has no {self.gpu}; give --prices FILE or --price-per-gpu-hour"]
        money = f"about {self.money:,.2f} {self.price.currency}".rstrip()
        return [*said, f"{money} at {self.price.gpu_hour:g} a GPU-hour ({self.price.source})"]


def load_prices(path: str | None = None) -> dict[str, Price]:
    """Read the packaged table, and over it a file of the user's own.

    Raises:
        ConfigError: The file is missing or malformed.
    """
    packaged = _read(TABLE_PATH, "list price of the packaged table, to be edited")
    return {**packaged, **_read(Path(path).expanduser(), path)} if path else packaged


def _read(file: Path, source: str) -> dict[str, Price]:
    try:
        table = PriceTable.model_validate(read_yaml(file))
    except ValidationError as error:
        raise ConfigError(f"{file}: {describe_validation_error(error)}") from error
    for name, price in table.gpu_hour.items():
        if not 0 <= price < float("inf"):
            raise ConfigError(f"{file}: gpu_hour.{name}: expected a price of 0 or more, got {price}")
    return {
        name: Price(gpu_hour=price, currency=table.currency, source=f"{source}, as of {table.as_of}")
        for name, price in table.gpu_hour.items()
    }
