"""What the dashboard draws is what Prometheus would scrape."""

import json
import re
import time
from pathlib import Path

import httpx
import ray

BOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "solve.json"
EXPORT_SECONDS = 60
"""Ray exports every ten seconds."""
QUESTIONS = [
    {"question": "Ann has 12 apples. She buys 7 more. How many has she?", "num_samples": 64, "adaptive": {}},
    {"question": "Ann has 12 apples. She buys 7 more. How many has she?", "max_tokens": 1},
]
"""One of which samples are saved, and one that has no answer."""


def drawn() -> set[str]:
    """Return the names of all series in the dashboard's queries."""
    board = json.loads(BOARD.read_text("utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return {name for query in queries for name in re.findall(r"\bray_\w+", query)}


def exported() -> set[str]:
    """Scrape this node, as Prometheus does."""
    (node,) = ray.nodes()
    text = httpx.get(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=30).text
    return set(re.findall(r"^(ray_\w+)", text, re.MULTILINE))


def test_every_series_of_the_dashboard_is_exported(solve_url: str) -> None:
    for question in QUESTIONS:
        assert httpx.post(f"{solve_url}/v1/solve", json=question, timeout=120).status_code == 200
    assert len(drawn()) >= 10
    deadline = time.monotonic() + EXPORT_SECONDS
    while missing := drawn() - exported():
        assert time.monotonic() < deadline, f"not exported: {sorted(missing)}"
        time.sleep(1)
