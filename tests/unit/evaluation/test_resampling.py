import numpy as np
import pytest

from metamath_ray.evaluation import resampling
from metamath_ray.evaluation.resampling import estimates, p_values, ratio_estimate, resamples


def test_intervals_cover_the_truth_in_about_95_of_100_sets() -> None:
    chance = np.random.default_rng(0)
    num_covered = 0
    for _ in range(300):
        ease = chance.beta(2, 2, size=120)
        values = chance.binomial(4, ease) / 4  # the mean of beta(2, 2) is 0.5
        found = estimates({"accuracy": values}, num_resamples=500)["accuracy"]
        num_covered += found.low <= 0.5 <= found.high
    assert 0.90 <= num_covered / 300 <= 0.99


def test_an_interval_is_about_the_normal_one() -> None:
    values = np.random.default_rng(1).random(400)
    found = estimates({"x": values})["x"]
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.004)


def test_all_columns_see_the_same_resamples() -> None:
    values = np.random.default_rng(2).random(50)
    found = estimates({"x": values, "shifted": values + 1})
    assert found["shifted"].low == pytest.approx(found["x"].low + 1)
    assert found["shifted"].high == pytest.approx(found["x"].high + 1)


def test_one_problem_has_no_width() -> None:
    found = estimates({"x": np.array([0.25])})["x"]
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_no_column_no_estimate() -> None:
    assert estimates({}) == {}
    assert p_values({}) == {}


def test_chunks_draw_as_many_resamples_of_as_many_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "CELLS_PER_CHUNK", 70)
    chunks = list(resamples(10, 25, seed=0))
    assert [len(chunk) for chunk in chunks] == [7, 7, 7, 4]
    assert all((chunk.sum(axis=1) == 10).all() for chunk in chunks)


def test_a_ratio_weighs_problems_by_their_denominators() -> None:
    found = ratio_estimate(np.array([1.0, 0.0, 9.0]), np.array([1.0, 0.0, 10.0]))
    assert found.value == pytest.approx(10 / 11)
    assert 0.9 <= found.low <= found.high <= 1


def test_flipping_signs_gives_the_share_of_all_sign_patterns() -> None:
    """Five equal differences: 2 of the 32 patterns are as far from 0."""
    assert p_values({"d": np.ones(5)})["d"] == pytest.approx(2 / 32, abs=0.008)


def test_no_difference_is_no_evidence_and_a_large_one_is_never_impossible() -> None:
    found = p_values({"none": np.zeros(300), "all": np.ones(300)}, num_flips=999)
    assert found == {"none": 1.0, "all": pytest.approx(1 / 1000)}


def test_under_the_null_small_p_values_are_as_rare_as_they_say() -> None:
    chance = np.random.default_rng(3)
    columns = {str(place): chance.normal(size=60) for place in range(400)}
    found = np.array(list(p_values(columns, num_flips=999).values()))
    assert (found <= 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert (found <= 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_a_chunk_of_flips_does_not_change_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "CELLS_PER_CHUNK", 30)
    assert p_values({"d": np.ones(5)}, num_flips=4_000)["d"] == pytest.approx(2 / 32, abs=0.015)
