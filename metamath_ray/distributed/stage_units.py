"""A stage's examples to training units: written in pieces by the driver, tokenised piece by piece by Ray Data."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
from ray.data import DataContext

from metamath_ray.distributed.task_errors import plain_errors
from metamath_ray.prompts import PromptSet, Renderer, VerifierPrompt, VerifierRenderer, load_tokenizer
from metamath_ray.storage import RunDirectory
from metamath_ray.training.examples import EXAMPLE_SCHEMA, Example, LeftOut, UnitMaker
from metamath_ray.training.units import UNIT_SCHEMA

EXAMPLES, UNITS = "examples", "units"
"""Folders in a stage's."""
EXAMPLES_PER_PIECE = 4096
"""Some MB of text; what one task tokenises."""


@dataclass(frozen=True, kw_only=True)
class UnitSettings:
    """How examples become units.

    Attributes:
        verifier_prompt: Where there are samples to judge.
    """

    model_path: str
    prompt_set: PromptSet
    verifier_prompt: VerifierPrompt | None
    max_length: int

    def maker(self) -> UnitMaker:
        """Load the tokenizer."""
        tokenizer = load_tokenizer(self.model_path)
        verifier = VerifierRenderer(self.verifier_prompt, tokenizer) if self.verifier_prompt else None
        return UnitMaker(Renderer(self.prompt_set, tokenizer), verifier, max_length=self.max_length)


def write_examples(examples: Iterable[Example], folder: RunDirectory) -> int:
    """Write examples as numbered parquet pieces into a stage's folder and return how many there are."""
    remaining, count = iter(examples), 0
    for number in range(10**9):
        piece = list(islice(remaining, EXAMPLES_PER_PIECE))
        if not piece:
            break
        table = pa.Table.from_pylist([example.to_row() for example in piece], schema=EXAMPLE_SCHEMA)
        folder.write_table(table, EXAMPLES, f"{number:06d}.parquet")
        count += len(piece)
    return count


def write_units(folder: RunDirectory, settings: UnitSettings) -> dict[str, int]:
    """Tokenise all pieces of a stage's folder.

    Returns:
        Counts over all pieces: "units", "tokens", "targets", and each reason of `LeftOut`.
    """
    DataContext.get_current().enable_progress_bars = False
    pieces = folder.tables(EXAMPLES)
    dataset = ray.data.from_items([{"piece": piece} for piece in pieces], override_num_blocks=len(pieces)).map(
        _Tokenise,
        fn_constructor_args=(folder, settings),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, min(len(pieces), _cpus() // 2))),
        num_cpus=1,
    )
    counts: Counter[str] = Counter()
    with plain_errors():
        for row in dataset.iter_rows():
            counts.update(row)
    return dict(counts)


def _cpus() -> int:
    return int(ray.cluster_resources().get("CPU", 1))


class _Tokenise:
    """The actor that tokenises pieces."""

    def __init__(self, folder: RunDirectory, settings: UnitSettings) -> None:
        self._folder, self._maker = folder, settings.maker()

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        """Tokenise one piece and return its counts."""
        results = [self._maker.unit(Example.from_row(found)) for found in self._rows(row["piece"])]
        kept = [result for result in results if not isinstance(result, LeftOut)]
        table = pa.Table.from_pylist([unit.to_row() for unit in kept], schema=UNIT_SCHEMA)
        self._folder.write_table(table, UNITS, row["piece"])
        left_out = Counter(str(result) for result in results if isinstance(result, LeftOut))
        return {
            "units": len(kept),
            "tokens": sum(unit.num_tokens for unit in kept),
            "targets": sum(unit.num_targets for unit in kept),
            **{str(reason): left_out[str(reason)] for reason in LeftOut},
        }

    def _rows(self, piece: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._folder.read_table(EXAMPLES, piece).to_pylist()
        return rows
