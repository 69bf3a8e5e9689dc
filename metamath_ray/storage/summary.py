"""What a run came to so far, from its files alone: works on a running run and on a dead one."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from metamath_ray.storage.plan_index import PlanIndex, outcomes_in_plan_order
from metamath_ray.storage.run_directory import RunDirectory
from metamath_ray.types import Augmentation, OutcomeStatus

_COUNTED = ["item_id", "augmentation", "status", "reason"] + [
    f"{stage}.{count}" for stage in ("rewrite", "solution") for count in ("num_prompt_tokens", "num_completion_tokens")
]
"""Columns that counting needs: none of the texts."""


@dataclass
class KindSummary:
    """Counts of one augmentation.

    Attributes:
        num_planned: Items of the plan.
        num_tokens: Completion tokens, those of rejected items included.
        reasons: Why items were rejected or failed.
    """

    num_planned: int = 0
    num_finished: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    num_failed: int = 0
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "KindSummary") -> "KindSummary":
        return KindSummary(
            **{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        )

    def add(self, row: dict[str, Any]) -> None:
        """Count one outcome row."""
        status = OutcomeStatus(row["status"])
        self.num_finished += 1
        self.num_accepted += status is OutcomeStatus.ACCEPTED
        self.num_rejected += status is OutcomeStatus.REJECTED
        self.num_failed += status is OutcomeStatus.FAILED
        if row["reason"]:
            self.reasons[row["reason"]] += 1
        for completion in filter(None, (row["rewrite"], row["solution"])):
            self.num_prompt_tokens += completion["num_prompt_tokens"]
            self.num_tokens += completion["num_completion_tokens"]


@dataclass
class RunSummary:
    """Counts of a run by augmentation."""

    by_augmentation: dict[Augmentation, KindSummary] = field(
        default_factory=lambda: {kind: KindSummary() for kind in Augmentation}
    )

    @property
    def num_planned(self) -> int:
        """Items of the plan."""
        return sum(kind.num_planned for kind in self.by_augmentation.values())

    @property
    def num_finished(self) -> int:
        """Items that have an outcome."""
        return sum(kind.num_finished for kind in self.by_augmentation.values())


def summarize(run: RunDirectory) -> RunSummary:
    """Count plan and outcomes, streaming: each planned item once, whatever the folder holds beside."""
    summary = RunSummary()
    for batch in run.plan_batches(["augmentation"]):
        for name, count in Counter(batch.column("augmentation").to_pylist()).items():
            summary.by_augmentation[Augmentation(name)].num_planned += count
    for row in outcomes_in_plan_order(run, PlanIndex(run), _COUNTED):
        summary.by_augmentation[Augmentation(row["augmentation"])].add(row)
    return summary
