"""Examples: what a stage learns as text, and as training units. One renderer makes their tokens, the one of serving."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from metamath_ray.prompts import Renderer, Task, VerifierRenderer
from metamath_ray.training.units import Unit, UnitKind

EXAMPLE_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("source", pa.string()),
        ("question", pa.string()),
        ("solutions", pa.list_(pa.string())),
        ("labels", pa.list_(pa.bool_())),
    ]
)
"""One row an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question with the solution to learn, or with one or two solutions to judge.

    Attributes:
        source: Source of the question; decides the style of the prompt.
        solutions: One; two for a pair, the right one first.
        labels: Whether each is right; empty for a solution to learn.
    """

    kind: UnitKind
    source: str
    question: str
    solutions: tuple[str, ...]
    labels: tuple[bool, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """Return the example as a row of `EXAMPLE_SCHEMA`."""
        return {name: getattr(self, name) for name in EXAMPLE_SCHEMA.names}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Example":
        """Read a row of `EXAMPLE_SCHEMA`."""
        return cls(
            kind=UnitKind(row["kind"]),
            source=row["source"],
            question=row["question"],
            solutions=tuple(row["solutions"]),
            labels=tuple(row["labels"]),
        )


class LeftOut(StrEnum):
    """Why an example is not learned; always counted, never cut to fit."""

    EMPTY_QUESTION = "empty_question"
    EMPTY_SOLUTION = "empty_solution"
    TOO_LONG = "too_long"
    MALFORMED = "malformed"


class UnitMaker:
    """Examples to units.

    Args:
        renderer: Of the solutions.
        verifier: Of what is judged; not needed where only solutions are learned.
        max_length: Longest sequence in tokens.
    """

    def __init__(self, renderer: Renderer, verifier: VerifierRenderer | None, *, max_length: int) -> None:
        self._renderer, self._verifier, self._max_length = renderer, verifier, max_length

    def unit(self, example: Example) -> Unit | LeftOut:
        """Turn an example into a unit, or say why it is left out; what is malformed is no example yet.

        Raises:
            PromptError: The prompt set has no task "solve", or the tokenizer does not fit.
        """
        if not example.question.strip():
            return LeftOut.EMPTY_QUESTION
        if not all(solution.strip() for solution in example.solutions):
            return LeftOut.EMPTY_SOLUTION
        unit = self._learned(example) if example.kind is UnitKind.SOLUTION else self._judged(example)
        return unit if max(map(len, unit.token_ids)) <= self._max_length else LeftOut.TOO_LONG

    def _learned(self, example: Example) -> Unit:
        prompt, response = self._renderer.render_with_response(
            Task.SOLVE, {"question": example.question}, example.solutions[0], source=example.source
        )
        return Unit(kind=example.kind, token_ids=((*prompt, *response),), num_prompt_tokens=(len(prompt),))

    def _judged(self, example: Example) -> Unit:
        if self._verifier is None:
            raise ValueError("an example to judge, and no verifier prompt")
        sequences = tuple(self._verifier.render(example.question, solution) for solution in example.solutions)
        return Unit(
            kind=example.kind,
            token_ids=sequences,
            num_prompt_tokens=tuple(map(len, sequences)),
            labels=example.labels,
        )
