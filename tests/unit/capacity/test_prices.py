from pathlib import Path

import pytest

from metamath_ray.capacity import GpuPlan, Price, load_prices
from metamath_ray.errors import ConfigError

PRICE = Price(gpu_hour=4.0, currency="USD", source="my list, as of 2026-11")


def plan_of(*, num_gpus: int = 2, price: Price | None = PRICE) -> GpuPlan:
    return GpuPlan(
        gpu="H100",
        num_gpus=num_gpus,
        num_tokens=36_000_000,
        tokens_per_second=1000,
        speed_source="measured there",
        price=price,
    )


def test_hours_follow_from_tokens_and_speed_and_money_from_hours() -> None:
    plan = plan_of()
    assert (plan.hours, plan.gpu_hours, plan.money) == (5.0, 10.0, 40.0)


def test_more_gpus_take_less_time_and_as_many_gpu_hours() -> None:
    assert plan_of(num_gpus=10).hours == 1.0
    assert plan_of(num_gpus=10).gpu_hours == plan_of().gpu_hours


def test_each_figure_is_said_with_its_origin() -> None:
    first, second = plan_of().lines()
    assert "on 2 × H100: about 5.00 hours, 10.0 GPU-hours, at 1,000 completion tokens/s a GPU (measured there)" in first
    assert second == "about 40.00 USD at 4 a GPU-hour (my list, as of 2026-11)"


def test_a_gpu_without_a_price_has_hours_and_no_money() -> None:
    plan = plan_of(price=None)
    assert plan.money is None
    assert plan.lines()[1] == "no price: the table has no H100; give --prices FILE or --price-per-gpu-hour"


def test_the_packaged_prices_say_of_when_they_are() -> None:
    assert all("as of 20" in price.source and "to be edited" in price.source for price in load_prices().values())


@pytest.mark.parametrize("as_of", ["2026-11", "2026-11-22", "2026"])
def test_a_file_of_the_user_wins_and_adds(tmp_path: Path, as_of: str) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(f"as_of: '{as_of}'\ncurrency: EUR\ngpu_hour: {{H100: 2, Z9: 5}}\n", encoding="utf-8")
    prices = load_prices(str(table))
    assert prices["H100"] == Price(gpu_hour=2, currency="EUR", source=f"{table}, as of {as_of}")
    assert prices["Z9"].gpu_hour == 5
    assert prices["L4"] == load_prices()["L4"]


def test_a_date_need_not_be_quoted(tmp_path: Path) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text("as_of: 2026-11-22\ncurrency: EUR\ngpu_hour: {H100: 2}\n", encoding="utf-8")
    assert load_prices(str(table))["H100"].source.endswith("as of 2026-11-22")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu_hour: {H100: 2}", "as_of: Field required; currency: Field required"),
        ("{as_of: '2026', currency: EUR, gpu_hour: {H100: cheap}}", "gpu_hour.H100"),
        ("{as_of: '2026', currency: EUR, gpu_hour: {H100: -2}}", "expected a price of 0 or more"),
        ("{as_of: '2026', currency: EUR, gpu_hour: {H100: .nan}}", "expected a price of 0 or more"),
        ("{as_of: '2026', currency: EUR, gpu_hours: {H100: 2}}", "gpu_hours"),
        ("H100", "expected a mapping"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_prices(str(table))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
