from collections import defaultdict
from random import Random

import pytest
from pydantic import ValidationError

from metamath_ray.config import MistakesConfig, SamplesConfig
from metamath_ray.datasets.word_problems import equations_in, generate_structures, sample_problem
from metamath_ray.datasets.word_problems.equations import format_number
from metamath_ray.datasets.word_problems.mistakes import write_mistake
from metamath_ray.grading import grade
from metamath_ray.storage.samples import SAMPLE_SCHEMA
from metamath_ray.training.mistakes import mistakes
from metamath_ray.types import GradeVerdict

NUM_PROBLEMS = 300


def test_a_mistake_comes_to_another_answer_through_positive_numbers() -> None:
    rng = Random(3)
    found = 0
    for structure in generate_structures("train", NUM_PROBLEMS, 5):
        text = write_mistake(structure, rng)
        if text is None:
            continue
        found += 1
        assert not text.endswith(f": {format_number(structure.answer)}")
        assert all(claimed > 0 for _, claimed in equations_in(text))
    assert found > 0.95 * NUM_PROBLEMS


def test_mistakes_are_slips_in_one_equation_or_of_the_plan() -> None:
    rng = Random(4)
    num_slips = 0
    for structure in generate_structures("train", NUM_PROBLEMS, 6):
        text = write_mistake(structure, rng) or ""
        wrong = [equation for equation, claimed in equations_in(text) if equation.result != claimed]
        assert len(wrong) <= 1
        num_slips += len(wrong)
    assert 0.3 < num_slips / NUM_PROBLEMS < 0.7


def test_mistakes_of_one_problem_are_many() -> None:
    problem = sample_problem(Random(8), 4)
    answers = {(write_mistake(problem, Random(seed)) or "").rpartition(": ")[2] for seed in range(100)}
    assert len(answers) > 20


def test_labels_agree_with_the_grader() -> None:
    rows = [row for batch in mistakes(MistakesConfig(num_problems=50, seed=4)) for row in batch.to_pylist()]
    by_problem = defaultdict(list)
    for row in rows:
        graded = grade(row["completion"], row["problem"]["reference_answer"])
        assert graded.verdict == GradeVerdict(row["verdict"])
        by_problem[row["problem_id"]].append(row["verdict"])
    assert set(map(tuple, by_problem.values())) == {("correct", "incorrect")}
    assert {row["problem"]["split"] for row in rows} == {"train"}


def test_mistakes_are_a_table_of_samples_the_same_for_a_seed() -> None:
    (first,), (second,), (other,) = (mistakes(MistakesConfig(num_problems=20, seed=seed)) for seed in (4, 4, 5))
    assert first.schema == SAMPLE_SCHEMA
    assert first.equals(second)
    assert not first.equals(other)


def test_samples_come_from_one_place() -> None:
    with pytest.raises(ValidationError, match="give one of path, draw and mistakes"):
        SamplesConfig(path="x", mistakes=MistakesConfig())
    with pytest.raises(ValidationError, match="give one of path, draw and mistakes"):
        SamplesConfig()
