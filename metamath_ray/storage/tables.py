"""The tables of runs, plan and outcomes: their parquet schemas, and records to rows and back."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Mask,
    Outcome,
    OutcomeStatus,
    Problem,
    WorkItem,
)

_PROBLEM = pa.struct(
    [
        ("question", pa.string()),
        ("reference_answer", pa.string()),
        ("reference_solution", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("source_id", pa.string()),
        ("subject", pa.string()),
        ("level", pa.string()),
        ("num_steps", pa.int32()),
    ]
)
_MASK = pa.struct(
    [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", pa.string()),
        ("value", pa.string()),
        ("variable", pa.string()),
        ("is_ambiguous", pa.bool_()),
    ]
)
_COMPLETION = pa.struct(
    [
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("num_prompt_tokens", pa.int32()),
        ("num_completion_tokens", pa.int32()),
        ("seed", pa.int64()),
        ("model", pa.string()),
    ]
)

PLAN_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("position", pa.int64()),
        ("problem_id", pa.string()),
        ("augmentation", pa.string()),
        ("repeat", pa.int32()),
        ("mask", _MASK),
        ("problem", _PROBLEM),
    ]
)
"""One row a work item; `position` is its place in the plan."""

OUTCOME_SCHEMA = pa.schema(
    [
        *PLAN_SCHEMA,
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("query", pa.string()),
        ("rewrite", _COMPLETION),
        ("solution", _COMPLETION),
        ("expected_answer", pa.string()),
        ("extracted_answer", pa.string()),
        ("prompt_set_hash", pa.string()),
        ("seconds", pa.float32()),
    ]
)
"""One row a finished work item: the item, what became of it, and every text on the way."""

SCORE_PLAN_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("position", pa.int64()),
        ("question", pa.string()),
        ("solution", pa.string()),
    ]
)
"""One row a distinct solution of a question, to be scored by a verifier."""

SCORE_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("status", pa.string()),
        ("score", pa.float32()),
        ("num_prompt_tokens", pa.int32()),
        ("error", pa.string()),
    ]
)
"""One row a scored solution; `score` is S, null where the status is "failed"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTables:
    """What is to be done, with `item_id` and `position`, and what was done, with `item_id` and `status`."""

    plan: pa.Schema
    outcomes: pa.Schema


ITEM_TABLES = RunTables(plan=PLAN_SCHEMA, outcomes=OUTCOME_SCHEMA)
TOKEN_COUNTS = (
    "rewrite.num_prompt_tokens",
    "rewrite.num_completion_tokens",
    "solution.num_prompt_tokens",
    "solution.num_completion_tokens",
    "num_prompt_tokens",
)
"""Columns of outcomes, and of scores, that count tokens; a table has the ones or the other."""

SCORE_TABLES = RunTables(plan=SCORE_PLAN_SCHEMA, outcomes=SCORE_SCHEMA)


def _record(value: Problem | Mask | Completion) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def item_to_row(item: WorkItem, position: int) -> dict[str, Any]:
    """Turn a work item into a row of `PLAN_SCHEMA`."""
    return {
        "item_id": item.item_id,
        "position": position,
        "problem_id": item.problem.problem_id,
        "augmentation": str(item.augmentation),
        "repeat": item.repeat,
        "mask": _record(item.mask) if item.mask else None,
        "problem": _record(item.problem),
    }


def item_from_row(row: Mapping[str, Any]) -> WorkItem:
    """Turn a row of either table back into its work item."""
    return WorkItem(
        item_id=row["item_id"],
        problem=Problem(**row["problem"]),
        augmentation=Augmentation(row["augmentation"]),
        mask=Mask(**row["mask"]) if row["mask"] else None,
        repeat=row["repeat"],
    )


def _completion_to_row(completion: Completion | None) -> dict[str, Any] | None:
    return None if completion is None else {**_record(completion), "finish_reason": str(completion.finish_reason)}


def _completion_from_row(row: Mapping[str, Any] | None) -> Completion | None:
    return None if row is None else Completion(**{**row, "finish_reason": FinishReason(row["finish_reason"])})


def outcome_to_row(outcome: Outcome, *, position: int, prompt_set_hash: str, seconds: float) -> dict[str, Any]:
    """Turn an outcome into a row of `OUTCOME_SCHEMA`; `seconds` is how long the item was in flight."""
    return {
        **item_to_row(outcome.item, position),
        "status": str(outcome.status),
        "reason": outcome.reason,
        "error": outcome.error,
        "query": outcome.query,
        "rewrite": _completion_to_row(outcome.rewrite),
        "solution": _completion_to_row(outcome.solution),
        "expected_answer": outcome.expected_answer,
        "extracted_answer": outcome.extracted_answer,
        "prompt_set_hash": prompt_set_hash,
        "seconds": seconds,
    }


def outcome_from_row(row: Mapping[str, Any]) -> Outcome:
    """Turn a row of `OUTCOME_SCHEMA` back into its outcome."""
    return Outcome(
        item=item_from_row(row),
        status=OutcomeStatus(row["status"]),
        reason=row["reason"],
        error=row["error"],
        query=row["query"],
        rewrite=_completion_from_row(row["rewrite"]),
        solution=_completion_from_row(row["solution"]),
        expected_answer=row["expected_answer"],
        extracted_answer=row["extracted_answer"],
    )
