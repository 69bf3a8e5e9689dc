"""The case tables under tests/data."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "data"


def load_table(name: str) -> list[dict[str, Any]]:
    """Return the rows of a table; each has an id that says what it attacks."""
    rows: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return rows
