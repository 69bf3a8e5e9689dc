"""Results as the text of `results.json`, and back."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from metamath_ray.config.base import describe_validation_error
from metamath_ray.errors import DataError
from metamath_ray.evaluation.results import Results

SIGNIFICANT_DIGITS = 6


def to_json(results: Results) -> str:
    """Write results as JSON: keys sorted, numbers to 6 significant digits; what is no number is written as null.

    `to_json(from_json(text)) == text` for every text written here.
    """
    return json.dumps(_plain(asdict(results)), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str, where: str = "results.json") -> Results:
    """Read results.

    Args:
        where: What messages call the text.

    Raises:
        DataError: The text is not JSON, or not of results.
    """
    try:
        return _RESULTS.validate_json(text)
    except ValidationError as error:
        raise DataError(f"{where}: no results of an evaluation: {describe_validation_error(error)[:300]}") from None


_RESULTS = TypeAdapter(Results)


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
