from math import exp, inf, isclose, isnan, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.verifier import log_odds, score

logprobs = st.floats(-1e6, 0)


@given(st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_a_score_is_the_share_of_the_correct_label(correct: float, incorrect: float) -> None:
    assert isclose(score(log(correct), log(incorrect)), correct / (correct + incorrect), rel_tol=1e-12)


@given(logprobs, logprobs)
def test_scores_of_swapped_labels_add_up_to_one(correct: float, incorrect: float) -> None:
    assert isclose(score(correct, incorrect) + score(incorrect, correct), 1)
    assert log_odds(correct, incorrect) == -log_odds(incorrect, correct)


@given(logprobs, logprobs, st.floats(-500, 0))
def test_what_both_labels_lack_does_not_count(correct: float, incorrect: float, shift: float) -> None:
    assert isclose(score(correct + shift, incorrect + shift), score(correct, incorrect), rel_tol=1e-6, abs_tol=1e-300)


def test_a_score_does_not_underflow_where_its_probabilities_do() -> None:
    assert exp(-800) == 0
    assert isclose(score(-800, -801), 1 / (1 + exp(-1)))


@pytest.mark.parametrize(
    ("correct", "incorrect", "expected"), [(0.0, -inf, 1.0), (-inf, 0.0, 0.0), (-inf, -inf, 0.5), (-5.0, -5.0, 0.5)]
)
def test_impossible_labels(correct: float, incorrect: float, expected: float) -> None:
    assert score(correct, incorrect) == expected


def test_a_logprob_that_is_not_a_number_does_not_pass_for_a_score() -> None:
    assert isnan(score(nan, -1.0))
