from math import inf, isclose, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import DataError
from metamath_ray.verifier import measure
from metamath_ray.verifier.quality import auc, expected_calibration_error, num_problem_pairs, within_problem_auc

# Few distinct scores, so that ties are common.
graded = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.booleans(), st.sampled_from("abc")))


def share_by_counting(rows: list[tuple[float, bool, str]], *, within: bool) -> float | None:
    wins = [
        1.0 if right > wrong else 0.5 if right == wrong else 0.0
        for right, right_label, right_id in rows
        for wrong, wrong_label, wrong_id in rows
        if right_label and not wrong_label and (right_id == wrong_id or not within)
    ]
    return sum(wins) / len(wins) if wins else None


@given(graded)
def test_both_aucs_are_what_counting_pairs_gives(rows: list[tuple[float, bool, str]]) -> None:
    scores, labels, ids = ([row[column] for row in rows] for column in range(3))
    assert auc(scores, labels) == pytest.approx(share_by_counting(rows, within=False))  # type: ignore[arg-type]
    assert within_problem_auc(scores, labels, ids) == pytest.approx(share_by_counting(rows, within=True))  # type: ignore[arg-type]


def test_a_verifier_that_only_knows_which_problems_are_easy_shows_within_problems() -> None:
    quality = measure(
        scores=[0.9, 0.9, 0.9, 0.1, 0.1, 0.1],
        labels=[True, True, False, True, False, False],
        problem_ids=["easy"] * 3 + ["hard"] * 3,
    )
    assert quality.auc == pytest.approx(6 / 9)
    assert quality.within_problem_auc == 0.5
    assert (quality.num_samples, quality.num_correct, quality.num_pairs) == (6, 3, 4)


def test_there_is_no_auc_without_both_classes() -> None:
    assert auc([0.2, 0.3], [True, True]) is None
    assert auc([], []) is None
    assert within_problem_auc([0.2, 0.3], [True, False], ["a", "b"]) is None
    assert num_problem_pairs([True, False], ["a", "b"]) == 0


def test_log_odds_may_be_infinite() -> None:
    assert auc([inf, 3.0, -inf], [True, False, False]) == 1.0


def test_calibration_is_the_distance_of_scores_from_shares() -> None:
    labels = [True, True, True, False]
    assert expected_calibration_error([0.75] * 4, labels) == 0
    assert expected_calibration_error([1.0] * 4, labels) == 0.25
    error = expected_calibration_error([0.05, 0.05, 0.95, 0.95], [False, False, True, False])
    assert error is not None
    assert isclose(error, (2 * 0.05 + 2 * 0.45) / 4)
    assert expected_calibration_error([], []) is None


@pytest.mark.parametrize(
    ("scores", "labels", "problem_ids", "message"),
    [
        ([0.5], [True, False], ["a", "b"], "1 scores for 2 samples"),
        ([0.5, 0.1], [True, False], ["a"], "1 problem ids for 2 samples"),
        ([0.5, nan], [True, False], ["a", "b"], "score of sample 1 is not a number"),
        ([0.5, 1.2], [True, False], ["a", "b"], "expected probabilities"),
    ],
)
def test_what_is_no_score_is_refused(
    scores: list[float], labels: list[bool], problem_ids: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        measure(scores, labels, problem_ids)
