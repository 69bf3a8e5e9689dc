from typing import Any

import numpy as np

from metamath_ray.evaluation.breakdown import groups
from metamath_ray.evaluation.problem_samples import ProblemSamples
from metamath_ray.evaluation.reading import read_problem_samples
from tests.unit.evaluation.tables import batches, sample_row


def problems_of(*facts: dict[str, Any]) -> tuple[ProblemSamples, ...]:
    rows = [sample_row(**{"question": f"Question {place}?", **one}) for place, one in enumerate(facts)]
    by_question = {problem.question: problem for problem in read_problem_samples(batches(rows)).problems}
    return tuple(by_question[row["problem"]["question"]] for row in rows)


def test_parts_have_the_means_of_their_own_problems() -> None:
    problems = problems_of({"level": "10"}, {"level": "2"}, {"level": "2"})
    values = {"majority_vote": np.array([1.0, 0.0, 0.5]), "best_of_n": np.zeros(3)}
    found = groups(problems, values, num_resamples=100, seed=0)
    assert [(part.name, part.num_problems) for part in found["level"]] == [("level 2", 2), ("level 10", 1)]
    assert [part.accuracy["majority_vote"].value for part in found["level"]] == [0.25, 1.0]
    assert set(found["level"][0].accuracy) == {"majority_vote"}


def test_names_are_plain_and_in_order() -> None:
    problems = problems_of(
        {"num_steps": 10, "subject": "geometry", "level": "Level 1"},
        {"num_steps": 1, "subject": "algebra", "level": "level 1"},
        {"num_steps": 2, "subject": "algebra", "level": "Level 3"},
    )
    found = groups(problems, {"pass_at_k": np.ones(3)}, num_resamples=100, seed=0)
    names = {kind: [part.name for part in parts] for kind, parts in found.items()}
    assert names == {
        "level": ["level 1", "level 3"],
        "subject": ["algebra", "geometry"],
        "num_steps": ["1 step", "2 steps", "10 steps"],
    }


def test_what_all_share_or_none_tells_is_no_part() -> None:
    problems = problems_of({"level": "1"}, {"level": "1"})
    assert groups(problems, {"pass_at_k": np.ones(2)}, num_resamples=100, seed=0) == {}


def test_lengths_fall_into_parts_of_as_many_problems() -> None:
    problems = problems_of(*({"question": "x" * (10 + place)} for place in range(40)))
    parts = groups(problems, {"pass_at_k": np.ones(40)}, num_resamples=100, seed=0)["question length"]
    assert sum(part.num_problems for part in parts) == 40
    assert len(parts) == 4
    assert all(9 <= part.num_problems <= 11 for part in parts)
    assert parts[0].name.startswith("question: 10-")
    assert parts[-1].name.endswith("-49 characters")


def test_a_problem_without_a_level_is_in_no_part_of_that_kind() -> None:
    problems = problems_of({"level": "1"}, {"level": "2"}, {})
    parts = groups(problems, {"pass_at_k": np.ones(3)}, num_resamples=100, seed=0)["level"]
    assert [part.num_problems for part in parts] == [1, 1]
