import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import ray.util.metrics as ray_metrics

from metamath_ray.distributed.job_metrics import ItemMetrics, TrainingMetrics
from metamath_ray.storage import RunDirectory, outcome_to_row
from metamath_ray.types import OutcomeStatus
from tests.records import make_outcome

BOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "jobs.json"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What is recorded: name and tags → sum of a counter, latest value of a gauge."""
    found: dict[str, float] = {}

    def record(self: ray_metrics.Metric, value: float, tags: Mapping[str, str] | None = None) -> None:
        name = self.info["name"] + "".join(f" {key}={tag}" for key, tag in (tags or {}).items())
        is_sum = isinstance(self, ray_metrics.Counter)
        found[name] = found.get(name, 0) + value if is_sum else value

    monkeypatch.setattr(ray_metrics.Metric, "_record", record)
    return found


def test_items_are_counted_by_what_became_of_them_and_tokens_by_kind(recorded: dict[str, float]) -> None:
    statuses = (OutcomeStatus.ACCEPTED, OutcomeStatus.ACCEPTED, OutcomeStatus.REJECTED)
    outcomes = [make_outcome(number, status=status) for number, status in enumerate(statuses)]
    metrics = ItemMetrics("runs/first")
    metrics.stored(outcome_to_row(one, position=0, prompt_set_hash="h", seconds=0.1) for one in outcomes)
    metrics.in_flight(7)
    assert recorded == {
        "metamath_items run=runs/first status=accepted reason=": 2,
        "metamath_items run=runs/first status=rejected reason=wrong_answer": 1,
        "metamath_item_tokens run=runs/first kind=prompt": 30,
        "metamath_item_tokens run=runs/first kind=completion": 15,
        "metamath_items_in_flight run=runs/first": 7,
    }


def test_scores_read_tokens_and_generate_none(recorded: dict[str, float]) -> None:
    row = {"item_id": "a", "status": "accepted", "score": 0.5, "num_prompt_tokens": 50, "error": ""}
    ItemMetrics("scores/v").stored([row])
    assert recorded == {
        "metamath_items run=scores/v status=accepted reason=": 1,
        "metamath_item_tokens run=scores/v kind=prompt": 50,
    }


def test_a_step_of_training_is_told(recorded: dict[str, float]) -> None:
    TrainingMetrics("tuned/first").stepped(3, num_steps=9, loss=0.5, tokens_per_second=200.0)
    assert recorded == {
        "metamath_training_step run=tuned/first": 3,
        "metamath_training_steps run=tuned/first": 9,
        "metamath_training_loss run=tuned/first": 0.5,
        "metamath_training_tokens_per_second run=tuned/first": 200.0,
    }


def test_the_dashboard_draws_every_metric_and_no_other() -> None:
    parts = (vars(ItemMetrics("r")), vars(TrainingMetrics("r")))
    exported = {
        value.info["name"] for part in parts for value in part.values() if isinstance(value, ray_metrics.Metric)
    }
    board = json.loads(BOARD.read_text("utf-8"))
    asked = "\n".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    assert {re.sub(r"_total$", "", name) for name in re.findall(r"\bray_(\w+)", asked)} == exported


def test_the_dashboard_asks_for_no_label_that_is_not_there() -> None:
    board = json.loads(BOARD.read_text("utf-8"))
    asked = "\n".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    labels = set(re.findall(r"(\w+)=~?\"", asked)) | set(re.findall(r"by \(([^)]*)\)", asked.replace(", ", ",")))
    assert {part for label in labels for part in label.split(",")} == {"run", "status", "reason", "kind"}


@pytest.mark.parametrize(
    ("root", "label"),
    [
        ("/data/runs/first", "runs/first"),
        ("s3://bucket/runs/first/greedy?region=eu", "first/greedy"),
        ("s3://bucket/run", "run"),
        ("/run", "run"),
    ],
)
def test_a_run_is_named_by_the_last_two_parts_of_its_address(root: str, label: str) -> None:
    assert RunDirectory(root).label == label
