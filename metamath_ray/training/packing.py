"""Units to one padding-free batch: sequences end to end, positions counted anew in each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from metamath_ray.training.units import Unit, UnitKind


@dataclass(frozen=True)
class PackedBatch:
    """Sequences end to end, and at which places the model's scores are used.

    Attributes:
        input_ids: `[1, tokens]`.
        position_ids: `[1, tokens]`; begins at 0 in each sequence.
        boundaries: `[sequences + 1]`, int32.
        longest: Tokens of the longest sequence.
        places: `[used]`: places whose scores are used; first those of solutions, then those of judged sequences.
        targets: `[solution places]`: the token that follows each.
        labels: `[judged]`: whether the judged solution is right; each pair takes two neighbours, the right one first.
        num_pairs: The first `2 * num_pairs` judged sequences are pairs.
    """

    input_ids: Tensor
    position_ids: Tensor
    boundaries: Tensor
    longest: int
    places: Tensor
    targets: Tensor
    labels: Tensor
    num_pairs: int

    def to(self, device: torch.device) -> "PackedBatch":
        """Move the tensors."""
        return PackedBatch(
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            boundaries=self.boundaries.to(device),
            longest=self.longest,
            places=self.places.to(device),
            targets=self.targets.to(device),
            labels=self.labels.to(device),
            num_pairs=self.num_pairs,
        )


def pack(units: Sequence[Unit]) -> PackedBatch:
    """Lay the sequences of some units end to end: solutions, then pairs, then single judged ones."""
    ranks = {UnitKind.SOLUTION: 0, UnitKind.PAIR: 1, UnitKind.JUDGED: 2}
    ordered = sorted(units, key=lambda unit: ranks[unit.kind])
    ids: list[int] = []
    positions: list[int] = []
    boundaries, places, judged = [0], list[int](), list[int]()
    targets: list[int] = []
    for unit in ordered:
        for sequence, given in zip(unit.token_ids, unit.num_prompt_tokens, strict=True):
            start = len(ids)
            ids.extend(sequence)
            positions.extend(range(len(sequence)))
            boundaries.append(len(ids))
            if unit.kind is UnitKind.SOLUTION:
                places.extend(range(start + given - 1, len(ids) - 1))
                targets.extend(sequence[given:])
            else:
                judged.append(len(ids) - 1)
    return PackedBatch(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        boundaries=torch.tensor(boundaries, dtype=torch.int32),
        longest=max(after - before for before, after in pairwise(boundaries)),
        places=torch.tensor([*places, *judged]),
        targets=torch.tensor(targets, dtype=torch.int64),
        labels=torch.tensor([label for unit in ordered for label in unit.labels], dtype=torch.bool),
        num_pairs=sum(unit.kind is UnitKind.PAIR for unit in ordered),
    )
