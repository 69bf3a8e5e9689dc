"""The case tables under tests/data."""

import json
from pathlib import Path
from typing import Any

from metamath_ray.grading.equivalence import explain
from metamath_ray.grading.outcome import Comparison

DATA = Path(__file__).resolve().parents[2] / "data"


def load_table(name: str) -> list[dict[str, Any]]:
    """Return the rows of a table; each has an id that says what it attacks."""
    rows: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows


def patiently(a: str, b: str) -> Comparison:
    """Compare; ask again when only a busy machine kept the answer back."""
    for _ in range(20):
        found = explain(a, b)
        if not found.transient:
            break
    return found
