"""Rows of the size of MetaMathQA's, made from training questions, with planted copies whose number is known."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import islice
from pathlib import Path

from metamath_ray.datasets import Decontaminator, ProblemSource, read_problems
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Outcome,
    OutcomeStatus,
    Problem,
    WorkItem,
    content_id,
)

SYNTHETIC_PROBLEMS = 5_000
"""Of the embedded world, where the published data are not there."""
ANSWER_AUGMENTATION_SHARE = 0.4
_NUMBER = re.compile(r"\d+")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")


class Planted(StrEnum):
    """What is wrong with a row; copies of rows first, then of test questions."""

    COPY = "row, to the letter"
    REFORMATTED_COPY = "row, other case, spaces, commas"
    REWORDED_COPY = "row, one word changed"
    TEST = "test question, to the letter"
    REFORMATTED_TEST = "test question, other case, spaces, commas"
    EMBEDDED_TEST = "test question inside a longer text"
    REWORDED_TEST = "test question, one word changed"
    RENUMBERED_TEST = "test question, other numbers"


COPIES = (Planted.COPY, Planted.REFORMATTED_COPY, Planted.REWORDED_COPY)
SHARES = dict.fromkeys(COPIES, 0.01) | {kind: 0.002 for kind in Planted if kind not in COPIES}
"""Of all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One accepted solution."""

    seed: Problem
    query: str
    response: str
    planted: Planted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Seeds of which no text overlaps with the test questions, and the test questions."""

    seeds: list[Problem]
    tests: list[tuple[str, str]]

    def rows(self, num_rows: int) -> Iterator[Row]:
        """Draw rows, always the same; any of them by its number, so that none is kept to be copied."""
        return map(self.row, range(num_rows))

    def row(self, number: int) -> Row:
        """Make a row, planted or not."""
        chance = random.Random(3 * number)
        kind = _kind(number)
        if kind is None:
            return self._written(number)
        if kind in COPIES:
            copied = next(earlier for earlier in range(number - 1, -1, -1) if _kind(earlier) is None)
            return _copy(self._written(copied), kind, chance)
        written = self._written(number, forward=False)
        question = _altered(chance.choice(self.tests)[1], kind, chance)
        return Row(seed=written.seed, query=question, response=written.response, planted=kind)

    def _written(self, number: int, *, forward: bool = True) -> Row:
        chance = random.Random(3 * number + 1)
        seed, other = chance.choice(self.seeds), chance.choice(self.seeds)
        response = _renumbered(f"{seed.reference_solution}\n{_sentences(other.reference_solution)[0]}", chance)
        if forward and chance.random() < ANSWER_AUGMENTATION_SHARE:
            return Row(seed=seed, query=seed.question, response=response)
        query = _renumbered(f"{_sentences(other.question)[0]} {seed.question}", chance)
        return Row(seed=seed, query=query, response=response)


def load_corpus(data: Path) -> Corpus:
    """Read GSM8K and MATH; without them, take the embedded world's own splits."""
    if data.is_dir():
        parts = {split: [*_read(data, "gsm8k", split), *_read(data, "math", split)] for split in ("train", "test")}
    else:
        parts = {split: list(islice(generate_problems(split, SYNTHETIC_PROBLEMS, seed=1), SYNTHETIC_PROBLEMS))
                 for split in ("train", "test")}  # fmt: skip
    tests = [(f"{problem.source}/test", problem.question) for problem in parts["test"]]
    overlaps = Decontaminator(tests)
    clean = [problem for problem in parts["train"] if not overlaps.check(problem.question)]
    return Corpus(seeds=[problem for problem in clean if problem.reference_solution], tests=tests)


def _read(data: Path, name: str, split: str) -> Iterator[Problem]:
    if name == "gsm8k":
        yield from read_problems(ProblemSource(format="gsm8k", path=str(data / name / f"{split}.jsonl")))
        return
    with (data / name / f"{split}.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            yield Problem(
                question=row["problem"],
                reference_answer=row["answer_extracted"] or "0",
                reference_solution=row["solution"],
                source=name,
                split=split,
            )


def _kind(number: int) -> Planted | None:
    drawn = random.Random(3 * number + 2).random() if number else 1.0
    for kind, share in SHARES.items():
        drawn -= share
        if drawn < 0:
            return kind
    return None


def _copy(row: Row, kind: Planted, chance: random.Random) -> Row:
    response = row.response
    if kind is Planted.REFORMATTED_COPY:
        response = _reformatted(response)
    elif kind is Planted.REWORDED_COPY:
        response = _reworded(response, chance)
    return Row(seed=row.seed, query=row.query, response=response, planted=kind)


def _altered(question: str, kind: Planted, chance: random.Random) -> str:
    match kind:
        case Planted.REFORMATTED_TEST:
            return _reformatted(question)
        case Planted.EMBEDDED_TEST:
            return f"Here is one that my teacher gave us. {question} Please show every step."
        case Planted.REWORDED_TEST:
            return _reworded(question, chance)
        case Planted.RENUMBERED_TEST:
            return _renumbered(question, chance)
        case _:
            return question


def _reformatted(text: str) -> str:
    return text.upper().replace(" ", "  ").replace(". ", ", ")


def _reworded(text: str, chance: random.Random) -> str:
    tokens = text.split(" ")
    places = [place for place, token in enumerate(tokens) if token.isalpha()] or [0]
    tokens[chance.choice(places)] = "quokka"
    return " ".join(tokens)


def _renumbered(text: str, chance: random.Random) -> str:
    return _NUMBER.sub(lambda _: str(int(2 + 998 * chance.random())), text)


@cache
def _sentences(text: str) -> list[str]:
    return _SENTENCE.split(text)


def outcome_of(row: Row, number: int) -> Outcome:
    """Return the row as an accepted outcome of a run."""
    is_forward = row.query == row.seed.question
    item = WorkItem(
        item_id=content_id((number,)),
        problem=row.seed,
        augmentation=Augmentation.ANSWER_AUGMENTATION if is_forward else Augmentation.REPHRASING,
        mask=None,
        repeat=number,
    )
    answer = row.seed.reference_answer
    solution = Completion(
        text=f"{row.response}\nThe answer is: {answer}",
        finish_reason=FinishReason.STOP,
        num_prompt_tokens=100,
        num_completion_tokens=len(row.response.split()),
        seed=number,
        model="synthetic",
    )
    return Outcome(
        item=item,
        status=OutcomeStatus.ACCEPTED,
        query=row.query,
        solution=solution,
        expected_answer=answer,
        extracted_answer=answer,
    )
