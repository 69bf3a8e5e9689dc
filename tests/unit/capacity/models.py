"""Models by name: dimensions as their `config.json` has them, parameters as their cards count them."""

import json
from pathlib import Path
from typing import Any

from metamath_ray.capacity import ModelShape
from metamath_ray.capacity.model_shape import shape_from_config

DATA = Path(__file__).parents[2] / "data" / "capacity"


def cases(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((DATA / name).read_text("utf-8"))
    return loaded


MODELS = {case["model"]: case for case in cases("models.json")}


def shape_of(model: str, **changes: object) -> ModelShape:
    return shape_from_config({**MODELS[model]["config"], **changes}, name=model)
