"""Samples made by rule: of each synthetic problem a right solution, and one with a mistake."""

import random
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from metamath_ray.config import MistakesConfig
from metamath_ray.datasets.word_problems import generate_structures, to_problem, write_solution
from metamath_ray.datasets.word_problems.mistakes import SEED_BITS, write_mistake
from metamath_ray.storage.samples import ROWS_PER_BATCH, SAMPLE_SCHEMA, sample_to_row
from metamath_ray.types import Completion, FinishReason, Problem, RejectionReason

MADE_BY = "word_problems"
"""Stands where a generator's name stands."""


def mistakes(config: MistakesConfig) -> Iterator[pa.RecordBatch]:
    """Stream two samples a problem, the second one wrong, as batches of `SAMPLE_SCHEMA`."""
    rows = chain.from_iterable(_pairs(config))
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        yield pa.RecordBatch.from_pylist(batch, schema=SAMPLE_SCHEMA)


def _pairs(config: MistakesConfig) -> Iterator[list[dict[str, Any]]]:
    rng = random.Random(f"mistakes:{config.seed}")
    for number, structure in enumerate(generate_structures("train", config.num_problems, config.seed)):
        wrong = write_mistake(structure, rng)
        if wrong is not None:
            problem = to_problem(structure, number, config.seed)
            right = write_solution(structure, rng.getrandbits(SEED_BITS))
            yield [_row(problem, right, is_correct=True), _row(problem, wrong, is_correct=False)]


def _row(problem: Problem, text: str, *, is_correct: bool) -> dict[str, Any]:
    written = Completion(
        text=text,
        finish_reason=FinishReason.STOP,
        num_prompt_tokens=0,
        num_completion_tokens=0,
        seed=0,
        model=MADE_BY,
    )
    return sample_to_row(
        problem,
        written,
        sample_index=0 if is_correct else 1,
        extracted_answer=text.rpartition(": ")[2],
        reason="" if is_correct else RejectionReason.WRONG_ANSWER,
        prompt_set_hash="",
    )
