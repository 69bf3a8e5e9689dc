"""Problems by split: disjoint by content, the same on every machine."""

import random
from collections.abc import Iterator
from typing import Literal

from metamath_ray.datasets.word_problems.equations import format_number
from metamath_ray.datasets.word_problems.sampling import sample_problem
from metamath_ray.datasets.word_problems.solutions import write_solution
from metamath_ray.datasets.word_problems.structure import WordProblem
from metamath_ray.datasets.word_problems.wordings import write_question
from metamath_ray.types import Problem

Split = Literal["train", "validation", "test"]


def split_of(problem: WordProblem) -> Split:
    """The split of a problem: by its kinds and numbers, so that no rewording crosses splits."""
    bucket = int(problem.content_key[:8], 16) % 100
    return "train" if bucket < 90 else "validation" if bucket < 95 else "test"


def sample_from_split(rng: random.Random, split: Split, num_steps: int | None = None) -> WordProblem:
    """Draws a problem of one split."""
    while True:
        problem = sample_problem(rng, num_steps)
        if split_of(problem) == split:
            return problem


def generate_structures(split: Split, num_problems: int, seed: int = 0) -> Iterator[WordProblem]:
    """Draws distinct problems of one split, as structures; see ``generate_problems``."""
    rng = random.Random(f"word_problems:{split}:{seed}")
    seen: set[str] = set()
    while len(seen) < num_problems:
        problem = sample_from_split(rng, split)
        if problem.content_key not in seen:
            seen.add(problem.content_key)
            yield problem


def generate_problems(split: Split, num_problems: int, seed: int = 0) -> Iterator[Problem]:
    """Generates grade-school word problems with reference solutions.

    Args:
        split: "train", "validation" or "test"; no problem is in two, whatever the seeds.
        num_problems: how many; a longer run starts with the problems of a shorter one.
        seed: selects the problems and their wording.
    """
    for index, structure in enumerate(generate_structures(split, num_problems, seed)):
        yield to_problem(structure, index, seed)


def to_problem(structure: WordProblem, index: int = 0, seed: int = 0) -> Problem:
    """Writes a structure as a problem of the data set."""
    wording_seed = int(structure.content_key[:8], 16) + seed
    return Problem(
        question=write_question(structure, wording_seed).text,
        reference_answer=format_number(structure.answer),
        reference_solution=write_solution(structure, wording_seed),
        source="word_problems",
        split=split_of(structure),
        source_id=f"{split_of(structure)}:{seed}:{index}",
        subject=structure.facts[0].state,
        num_steps=structure.num_steps,
    )
