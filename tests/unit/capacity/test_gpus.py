from pathlib import Path

import pytest

from metamath_ray.capacity import load_gpus, load_prices
from metamath_ray.errors import ConfigError


def test_every_price_is_of_a_gpu_whose_memory_is_known() -> None:
    assert load_prices().keys() <= load_gpus().keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("H100: many", "H100: expected the memory of one GPU in GiB, got 'many'"),
        ("H100: -1", "got -1"),
        ("H100: true", "got True"),
        ("H100: .inf", "got inf"),
        ("- H100", "expected a mapping"),
        ("H100: [", "not valid YAML"),
    ],
)
def test_a_table_that_says_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "gpus.yaml"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_gpus(str(table))
    assert message in str(caught.value)


def test_a_table_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_gpus("/no/such/gpus.yaml")
