"""What a run keeps: its folder, its manifest, its tables."""

from metamath_ray.storage.manifest import Manifest
from metamath_ray.storage.plan_index import PlanIndex, outcomes_in_plan_order, unfinished_positions
from metamath_ray.storage.run_directory import RunDirectory
from metamath_ray.storage.summary import KindSummary, RunSummary, summarize
from metamath_ray.storage.tables import (
    OUTCOME_SCHEMA,
    PLAN_SCHEMA,
    item_from_row,
    item_to_row,
    outcome_from_row,
    outcome_to_row,
)

__all__ = [
    "OUTCOME_SCHEMA",
    "PLAN_SCHEMA",
    "KindSummary",
    "Manifest",
    "PlanIndex",
    "RunDirectory",
    "RunSummary",
    "item_from_row",
    "item_to_row",
    "outcome_from_row",
    "outcome_to_row",
    "outcomes_in_plan_order",
    "summarize",
    "unfinished_positions",
]
