"""The figures of jobs through Ray's Prometheus export, where each name begins with `ray_`.

`deploy/grafana/jobs.json` draws them. `run` is the last two parts of a run directory, of a stage's folder in training.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge


class ItemMetrics:
    """Counts what a worker's items come to.

    Args:
        run: Name of the run.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._items = Counter(
            "metamath_items", "Items stored, by status and reason.", tag_keys=("run", "status", "reason")
        )
        self._tokens = Counter("metamath_item_tokens", "Tokens of stored items, by kind.", tag_keys=("run", "kind"))
        self._in_flight = Gauge("metamath_items_in_flight", "Items that workers are at.", tag_keys=("run",))

    def stored(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count outcome rows, or rows of scores, which generate nothing."""
        found: Tally[tuple[str, str]] = Tally()
        tokens: Tally[str] = Tally()
        for row in rows:
            found[row["status"], row.get("reason") or ""] += 1
            tokens["prompt"] += row.get("num_prompt_tokens", 0)
            for completion in filter(None, (row.get("rewrite"), row.get("solution"))):
                tokens["prompt"] += completion["num_prompt_tokens"]
                tokens["completion"] += completion["num_completion_tokens"]
        for (status, reason), number in found.items():
            self._items.inc(number, tags={"run": self._run, "status": status, "reason": reason})
        for kind, number in tokens.items():
            if number:
                self._tokens.inc(number, tags={"run": self._run, "kind": kind})

    def in_flight(self, number: int) -> None:
        """Note how many items this worker is at."""
        self._in_flight.set(number, tags={"run": self._run})


class TrainingMetrics:
    """Tells where a stage of training is.

    Args:
        run: Name of the run and of the stage.
    """

    def __init__(self, run: str) -> None:
        self._tags = {"run": run}
        self._step = Gauge("metamath_training_step", "Steps done.", tag_keys=("run",))
        self._steps = Gauge("metamath_training_steps", "Steps of the stage.", tag_keys=("run",))
        self._loss = Gauge("metamath_training_loss", "Loss of the latest step.", tag_keys=("run",))
        self._speed = Gauge("metamath_training_tokens_per_second", "Of the latest step.", tag_keys=("run",))

    def stepped(self, step: int, *, num_steps: int, loss: float, tokens_per_second: float) -> None:
        """Note a step, counted from 1."""
        self._step.set(step, tags=self._tags)
        self._steps.set(num_steps, tags=self._tags)
        self._loss.set(loss, tags=self._tags)
        self._speed.set(tokens_per_second, tags=self._tags)
