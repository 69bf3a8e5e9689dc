from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import ConfigError
from metamath_ray.verifier import GradedSample, graded_sample, question_disjoint_split, select_examples, usable

ROW: dict[str, Any] = {
    "problem_id": "p",
    "sample_index": 3,
    "completion": "3 + 4 = 7\nThe answer is: 7",
    "finish_reason": "stop",
    "verdict": "correct",
    "extracted_answer": "7",
}
samples_of_problems = st.lists(
    st.builds(
        GradedSample,
        problem_id=st.sampled_from(["a", "b", "c"]),
        sample_index=st.integers(0, 9),
        text_hash=st.sampled_from("uvwxyz"),
        is_correct=st.booleans(),
    ),
    max_size=40,
)


def make_samples(problem_id: str, num_correct: int, num_incorrect: int) -> list[GradedSample]:
    return [
        GradedSample(
            problem_id=problem_id, sample_index=index, text_hash=f"text {index}", is_correct=index < num_correct
        )
        for index in range(num_correct + num_incorrect)
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"verdict": "incorrect"}, True),
        ({"verdict": "unscored"}, False),
        ({"finish_reason": "length"}, False),
        ({"finish_reason": "other"}, False),
        ({"completion": " \n"}, False),
        ({"verdict": "incorrect", "extracted_answer": None}, False),
    ],
)
def test_only_finished_samples_with_a_decided_answer_are_usable(changes: dict[str, Any], expected: bool) -> None:
    assert usable({**ROW, **changes}) is expected


def test_texts_that_differ_in_white_space_are_one_text() -> None:
    other = graded_sample({**ROW, "completion": " 3 + 4  = 7 The answer is: 7\n", "sample_index": 5})
    assert other.text_hash == graded_sample(ROW).text_hash
    assert graded_sample({**ROW, "completion": "3 + 4 = 8"}).text_hash != other.text_hash


def test_pairs_are_of_one_problem_and_need_both_kinds() -> None:
    samples = [*make_samples("mixed", 2, 3), *make_samples("right", 4, 0), *make_samples("wrong", 0, 5)]
    selection = select_examples(samples)
    assert len(selection.pairs) == 6
    assert {pair.correct.problem_id for pair in selection.pairs} == {"mixed"}
    assert {sample.problem_id for sample in selection.singles} == {"right", "wrong"}
    assert selection.describe() == (
        "3 problems (1 mixed, 1 all right, 1 all wrong), 6 correct and 8 incorrect samples (0 duplicates left out) "
        "→ 6 pairs, 9 singles (4 correct)"
    )


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 30), st.integers())
def test_pairs_are_distinct_and_use_samples_evenly(num_correct: int, num_incorrect: int, cap: int, seed: int) -> None:
    samples = make_samples("p", num_correct, num_incorrect)
    pairs = select_examples(samples, max_pairs_per_problem=cap, seed=seed).pairs
    assert len(set(pairs)) == len(pairs) == min(cap, num_correct * num_incorrect)
    for kind in ("correct", "incorrect"):
        uses = Counter(getattr(pair, kind) for pair in pairs)
        of_kind = [sample for sample in samples if sample.is_correct == (kind == "correct")]
        times = [uses[sample] for sample in of_kind] or [0]
        assert set(uses) <= set(of_kind)
        assert max(times) - min(times) <= 1


@given(samples_of_problems, st.randoms(use_true_random=False), st.sampled_from(["as_sampled", "equal"]))
def test_a_selection_does_not_depend_on_the_order(samples: list[GradedSample], random: Any, balance: Any) -> None:  # noqa: ANN401
    shuffled = random.sample(samples, len(samples))
    expected = select_examples(samples, max_pairs_per_problem=3, balance=balance, seed=1)
    assert select_examples(shuffled, max_pairs_per_problem=3, balance=balance, seed=1) == expected


@given(samples_of_problems)
def test_counts_add_up_and_no_problem_has_a_text_twice(samples: list[GradedSample]) -> None:
    selection = select_examples(samples, max_pairs_per_problem=0)
    texts = [(sample.problem_id, sample.text_hash) for sample in selection.singles]
    assert len(texts) == len(set(texts)) == selection.num_correct + selection.num_incorrect
    assert len(texts) + selection.num_duplicates == len(samples)
    assert selection.num_problems == selection.num_mixed + selection.num_all_right + selection.num_all_wrong


@given(samples_of_problems, st.integers(0, 4))
def test_every_distinct_sample_is_in_a_pair_or_a_single(samples: list[GradedSample], cap: int) -> None:
    everything = set(select_examples(samples, max_pairs_per_problem=0).singles)
    selection = select_examples(samples, max_pairs_per_problem=cap)
    paired = {sample for pair in selection.pairs for sample in (pair.correct, pair.incorrect)}
    assert paired | set(selection.singles) == everything
    assert not paired & set(selection.singles)


def test_of_equal_texts_the_first_sample_stays() -> None:
    samples = [GradedSample(problem_id="p", sample_index=n, text_hash="same", is_correct=True) for n in (4, 2, 7)]
    selection = select_examples(samples)
    assert [sample.sample_index for sample in selection.singles] == [2]
    assert selection.num_duplicates == 2


def test_the_pairs_of_a_problem_depend_on_no_other_problem() -> None:
    alone = select_examples(make_samples("p", 6, 7), seed=4).pairs
    among = select_examples([*make_samples("a", 5, 5), *make_samples("p", 6, 7)], seed=4).pairs
    assert [pair for pair in among if pair.correct.problem_id == "p"] == list(alone)
    assert select_examples(make_samples("p", 6, 7), seed=5).pairs != alone


def test_equal_balance_thins_the_more_frequent_class_of_singles_alone() -> None:
    samples = [*make_samples("a", 3, 20), *make_samples("b", 4, 0), *make_samples("c", 0, 9)]
    selection = select_examples(samples, balance="equal", seed=2)
    assert Counter(sample.is_correct for sample in selection.singles) == {True: 4, False: 4}
    assert selection.pairs == select_examples(samples, seed=2).pairs
    assert (selection.num_correct, selection.num_incorrect) == (7, 29)
    assert selection.singles != select_examples(samples, balance="equal", seed=3).singles


@given(st.text(), st.floats(0, 1), st.floats(0, 1), st.integers())
def test_a_larger_share_only_adds_to_validation(problem_id: str, one: float, other: float, seed: int) -> None:
    smaller, larger = sorted((one, other))
    if question_disjoint_split(problem_id, smaller, seed) == "validation":
        assert question_disjoint_split(problem_id, larger, seed) == "validation"


def test_the_share_of_validation_is_about_what_was_asked_for() -> None:
    sides = Counter(question_disjoint_split(f"problem {number}", 0.2, seed=0) for number in range(2000))
    assert 340 < sides["validation"] < 460
    assert {question_disjoint_split(f"{number}", 0.0, 0) for number in range(99)} == {"train"}
    assert {question_disjoint_split(f"{number}", 1.0, 0) for number in range(99)} == {"validation"}


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"validation_share is 1\.5"):
        question_disjoint_split("p", 1.5, 0)
    with pytest.raises(ConfigError, match="max_pairs_per_problem is -1"):
        select_examples([], max_pairs_per_problem=-1)
