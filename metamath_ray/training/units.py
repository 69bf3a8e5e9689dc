"""What a training step is made of: units, their table, and their order; pure, no torch.

A unit is what must stay together: one solution to learn, one solution to judge, or a right and a wrong one to compare.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class UnitKind(StrEnum):
    """What is learned from a unit."""

    SOLUTION = "solution"
    JUDGED = "judged"
    PAIR = "pair"


UNIT_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("token_ids", pa.list_(pa.list_(pa.int32()))),
        ("num_prompt_tokens", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.bool_())),
        ("num_tokens", pa.int32()),
        ("num_targets", pa.int32()),
    ]
)
"""One row a unit; the lists have one entry a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One training unit.

    Attributes:
        token_ids: One sequence; two for a pair, the right one first. A solution ends with eos, a judged one with the
            verifier's prompt.
        num_prompt_tokens: For each sequence, how many tokens are given; what follows is learned.
        labels: For each judged sequence, whether the solution is right; empty for a solution to learn.
    """

    kind: UnitKind
    token_ids: tuple[tuple[int, ...], ...]
    num_prompt_tokens: tuple[int, ...]
    labels: tuple[bool, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(map(len, self.token_ids))

    @property
    def num_targets(self) -> int:
        """Tokens that are learned; 0 for what is judged."""
        return self.num_tokens - sum(self.num_prompt_tokens)

    def to_row(self) -> dict[str, Any]:
        """Return the unit as a row of `UNIT_SCHEMA`."""
        return {
            "kind": str(self.kind),
            "token_ids": self.token_ids,
            "num_prompt_tokens": self.num_prompt_tokens,
            "labels": self.labels,
            "num_tokens": self.num_tokens,
            "num_targets": self.num_targets,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Unit":
        """Read a row of `UNIT_SCHEMA`."""
        return cls(
            kind=UnitKind(row["kind"]),
            token_ids=tuple(map(tuple, row["token_ids"])),
            num_prompt_tokens=tuple(row["num_prompt_tokens"]),
            labels=tuple(row["labels"]),
        )


def num_steps(num_units: int, *, epochs: float, max_steps: int | None, global_batch_size: int) -> int:
    """Return the number of steps; the last one is filled from the next pass over the data."""
    return max_steps or max(1, math.ceil(num_units * epochs / global_batch_size))


def step_positions(step: int, *, num_units: int, global_batch_size: int, seed: int) -> list[int]:
    """Return which units make a step: the passes over the data, each in an order of its own, cut into steps.

    Depends on nothing but its arguments, so that a run can be resumed at any step, by any number of workers.
    """
    start = step * global_batch_size
    found: list[int] = []
    while len(found) < global_batch_size:
        epoch, offset = divmod(start + len(found), num_units)
        order = _order(epoch, num_units, seed)
        found.extend(order[offset : offset + global_batch_size - len(found)].tolist())
    return found


@lru_cache(maxsize=2)
def _order(epoch: int, num_units: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed % 2**64, epoch)).permutation(num_units)  # numpy takes no negative seed


def partition(num_tokens: Sequence[int], num_parts: int) -> list[list[int]]:
    """Split units into parts of about equally many tokens: the longest first, each to the part that has least.

    Args:
        num_tokens: Of each unit.
        num_parts: At most as many as there are units.

    Returns:
        Positions in `num_tokens`, each in exactly one part; no part is empty.
    """
    if num_parts > len(num_tokens):
        raise ValueError(f"{len(num_tokens)} units do not fill {num_parts} parts")
    parts: list[list[int]] = [[] for _ in range(num_parts)]
    sums = [0] * num_parts
    for position in sorted(range(len(num_tokens)), key=lambda at: (-num_tokens[at], at)):
        least = min(range(num_parts), key=lambda part: (sums[part], len(parts[part]), part))
        parts[least].append(position)
        sums[least] += num_tokens[position]
    return parts
