from random import Random
from typing import Any

import numpy as np
import pytest

from metamath_ray.errors import DataError
from metamath_ray.evaluation.reading import read_problem_samples
from tests.unit.evaluation.tables import batches, sample_row


def test_equal_answers_are_one_cluster_the_largest_first() -> None:
    answers = ["1/2", "3", "0.5", r"\frac{1}{2}", None]
    rows = [sample_row(answer, reference="0.5", index=index) for index, answer in enumerate(answers)]
    problem = read_problem_samples(batches(rows)).problems[0]
    assert problem.cluster.tolist() == [0, 1, 0, 0, -1]
    assert problem.num_samples == 5


def test_a_cluster_has_the_verdict_of_the_first_who_writes_its_answer() -> None:
    verdicts = [("2/4", "wrong_answer"), ("1/2", ""), ("1/2", ""), ("7", "wrong_answer")]
    rows = [sample_row(answer, index=index, reason=reason) for index, (answer, reason) in enumerate(verdicts)]
    problem = read_problem_samples(batches(rows)).problems[0]
    assert problem.cluster.tolist() == [0, 0, 0, 1]
    assert problem.cluster_is_correct.tolist() == [True, False]
    assert problem.is_inconsistent


def test_an_undecided_sample_is_not_correct_and_contradicts_nothing() -> None:
    reasons = ["undecided: over the time limit", "undecided", "undecided: no value", "wrong_answer"]
    rows = [sample_row("3", index=index, reason=reason) for index, reason in enumerate(reasons)]
    table = read_problem_samples(batches(rows))
    problem = table.problems[0]
    assert (table.num_timed_out, table.num_unexplained) == (1, 1)
    assert problem.is_undecided.tolist() == [True, True, True, False]
    assert not problem.is_correct.any()
    assert not problem.is_inconsistent


@pytest.mark.parametrize(
    ("fields", "votes"),
    [
        ({}, True),
        ({"finish_reason": None}, True),
        ({"finish_reason": "length"}, False),
        ({"finish_reason": "other"}, False),
        ({"extracted_answer": None}, False),
        ({"extracted_answer": "  "}, False),
        ({"extracted_answer": r"\frac{"}, False),
    ],
)
def test_what_votes_ended_by_itself_and_states_an_answer_that_can_be_read(fields: dict[str, Any], votes: bool) -> None:
    problem = read_problem_samples(batches([sample_row(**fields)])).problems[0]
    assert (problem.cluster.tolist() == [0]) is votes


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [
        sample_row(str(index % 3), question=f"Q{place}?", index=index, score=index / 8)
        for place in range(4)
        for index in range(6)
    ]
    shuffled = Random(0).sample(rows, len(rows))
    for here, there in zip(
        read_problem_samples(batches(rows)).problems, read_problem_samples(batches(shuffled, 7)).problems, strict=True
    ):
        assert here.problem_id == there.problem_id
        assert here.cluster.tolist() == there.cluster.tolist()
        assert here.scores.tolist() == there.scores.tolist()


def test_a_text_that_stands_earlier_is_a_duplicate() -> None:
    texts = ["a", "b", " a ", "a", "c"]
    rows = [sample_row(index=index, completion=text) for index, text in enumerate(texts)]
    other = sample_row(question="Another?", completion="a")
    problems = read_problem_samples(batches([*rows, other])).problems
    by_size = {problem.num_samples: problem.is_duplicate.tolist() for problem in problems}
    assert by_size == {5: [False, False, True, True, False], 1: [False]}


def test_unknown_numbers_stay_unknown() -> None:
    table = read_problem_samples(batches([sample_row(num_completion_tokens=None, finish_reason=None)]))
    assert np.isnan(table.problems[0].num_tokens[0])
    assert np.isnan(table.problems[0].scores[0])
    assert table.num_finish_unknown == 1
    assert not table.is_scored


def test_scores_count_where_all_that_vote_have_one() -> None:
    cut = sample_row(None, index=1, finish_reason="length", reason="truncated")
    assert read_problem_samples(batches([sample_row(score=0.5), cut])).is_scored
    assert not read_problem_samples(batches([sample_row(score=0.5), sample_row(index=1)])).is_scored
    assert not read_problem_samples(batches([cut])).is_scored


def test_problems_may_have_different_numbers_of_samples() -> None:
    rows = [sample_row(index=index) for index in range(3)] + [sample_row(question="Another?")]
    table = read_problem_samples(batches(rows))
    assert table.num_samples == 1
    assert sorted(problem.num_samples for problem in table.problems) == [1, 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "base: holds no sample"),
        ([sample_row(index=2), sample_row(index=2)], "base: sample 2 of problem .* stands there twice"),
        ([sample_row(), sample_row(index=1, model="other")], "two models 'scripted' and 'other'"),
        ([sample_row(), sample_row(index=1, prompt_set_hash="x")], "two prompts 'prompts' and 'x'"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_problem_samples(batches(rows), "base")
    assert "\n" not in str(error.value)
