from typing import Any

import pytest

from metamath_ray.errors import DataError
from metamath_ray.evaluation.problem_samples import ProblemSamples
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.evaluation.verifier_figures import check_scores, verifier_figures
from metamath_ray.verifier import measure
from tests.unit.evaluation.tables import batches, sample_row, synthetic_problems


def problems_of(rows: list[dict[str, Any]]) -> tuple[ProblemSamples, ...]:
    return read_problem_samples(batches(rows)).problems


def test_values_are_those_of_the_verifiers_own_measure() -> None:
    rows = synthetic_problems(30, 6, seed=0)
    found = verifier_figures(problems_of(rows), num_resamples=400, seed=0)
    labels = [row["verdict"] == "correct" for row in rows]
    expected = measure([row["score"] for row in rows], labels, [row["problem_id"] for row in rows])
    assert found is not None
    assert found.auc is not None
    assert found.within_problem_auc is not None
    assert found.auc.value == pytest.approx(expected.auc)
    assert found.within_problem_auc.value == pytest.approx(expected.within_problem_auc)
    assert found.expected_calibration_error == pytest.approx(expected.expected_calibration_error, abs=1e-6)
    for estimate in (found.auc, found.within_problem_auc):
        assert estimate.low < estimate.value < estimate.high <= 1


def test_bins_hold_all_samples_and_their_shares() -> None:
    rows = [sample_row("7" if place % 2 else "8", index=place, score=0.85 + 0.01 * place) for place in range(4)]
    found = verifier_figures(problems_of([*rows, sample_row(index=9, score=1.0)]), num_resamples=100, seed=0)
    assert found is not None
    (eighties, nineties) = found.calibration
    assert (eighties.num_samples, eighties.accuracy) == (4, 0.5)
    assert eighties.mean_score == pytest.approx(0.865)
    assert (nineties.num_samples, nineties.accuracy, nineties.mean_score) == (1, 1.0, 1.0)


def test_undecided_and_unscored_samples_are_left_out() -> None:
    rows = [
        sample_row("7", index=0, score=0.9),
        sample_row("8", index=1, score=0.1),
        sample_row("9", index=2, score=0.95, reason="undecided"),
        sample_row(None, index=3),
    ]
    found = verifier_figures(problems_of(rows), num_resamples=100, seed=0)
    assert found is not None
    assert found.auc is not None
    assert found.auc.value == 1
    assert sum(one.num_samples for one in found.calibration) == 2


def test_one_class_has_no_auc_and_no_score_no_figures() -> None:
    found = verifier_figures(problems_of([sample_row(score=0.5)]), num_resamples=100, seed=0)
    assert found is not None
    assert (found.auc, found.within_problem_auc) == (None, None)
    assert verifier_figures(problems_of([sample_row()]), num_resamples=100, seed=0) is None


@pytest.mark.parametrize("score", [-0.5, 1.5])
def test_a_score_that_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(DataError, match=rf"base: a score of problem \w+ is {score}: expected S"):
        check_scores(problems_of([sample_row(score=score)]), "base")
