"""The replay against `should_stop` and `choose`, look by look."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.evaluation.orderings import draw_positions, tally, without_scores
from metamath_ray.evaluation.problem_samples import ProblemSamples
from metamath_ray.evaluation.replay import (
    CONFIDENCES,
    NUM_ORDERINGS,
    look_points,
    probabilities_of_staying,
    race,
    replay,
)
from metamath_ray.reranking import Strategy, choose, next_round, probability_of_staying, should_stop
from tests.unit.evaluation.tables import problem_of
from tests.unit.evaluation.test_orderings import SCORES, choice_of, prefix_of

REPLAYED = [Strategy.MAJORITY_VOTE, Strategy.WEIGHTED_VOTE]


@st.composite
def problems(draw: st.DrawFn) -> ProblemSamples:
    labels = draw(st.lists(st.integers(-1, 3), min_size=1, max_size=24))
    scores = draw(st.lists(SCORES, min_size=len(labels), max_size=len(labels)))
    return problem_of(labels, scores)


def replayed_alone(
    problem: ProblemSamples, order: list[int], strategy: Strategy, confidence: float
) -> tuple[bool, int]:
    """Adaptive sampling with the real functions: whether the answer is right, and the samples drawn."""
    num_drawn, num_samples = 0, problem.num_samples
    while True:
        num_drawn += next_round(num_drawn, min_samples=4, num_samples=num_samples)
        clusters, scores = prefix_of(problem, order, num_drawn)
        choice = choose(clusters, scores if strategy.needs_scores else {}, strategy)
        if num_drawn == num_samples or should_stop(
            clusters, choice, strategy, num_drawn=num_drawn, num_samples=num_samples, confidence=confidence
        ):
            verdict = choice.cluster is not None and problem.cluster_is_correct[choice_of(clusters, choice.cluster)]
            return bool(verdict), num_drawn


@given(problems(), st.sampled_from(REPLAYED), st.integers(0, 9))
def test_it_stops_where_the_real_rule_stops_and_answers_the_same(
    problem: ProblemSamples, strategy: Strategy, seed: int
) -> None:
    found = replay([problem], [strategy], num_samples=problem.num_samples, seed=seed)[strategy]
    orders = np.argsort(draw_positions(problem, NUM_ORDERINGS, seed), axis=0).T.tolist()
    for place, confidence in enumerate(CONFIDENCES):
        alone = [replayed_alone(problem, order, strategy, confidence) for order in orders]
        assert found.accuracy[0, place] == pytest.approx(np.mean([right for right, _ in alone]))
        assert found.num_samples[0, place] == pytest.approx(np.mean([drawn for _, drawn in alone]))


@given(problems(), st.sampled_from(REPLAYED), st.integers(0, 30))
def test_probabilities_are_those_of_the_real_function(
    problem: ProblemSamples, strategy: Strategy, remaining: int
) -> None:
    size = problem.num_samples
    positions = draw_positions(problem, 3, 0)
    counted = tally(problem, positions, np.array([size]), use_scores=True)
    counted = counted if strategy.needs_scores else without_scores(counted)
    found = probabilities_of_staying(race(counted.totals, counted.votes), 0, size, size + remaining)
    for ordering in range(3):
        clusters, scores = prefix_of(problem, np.argsort(positions[:, ordering]).tolist(), size)
        weights = choose(clusters, scores, strategy).weights if strategy.needs_scores else None
        votes = [cluster.num_votes for cluster in clusters]
        expected = probability_of_staying(votes, size, size + remaining, weights=weights)
        assert found[ordering] == pytest.approx(expected, abs=1e-9)


def test_all_samples_in_the_same_orderings_are_what_stopping_is_compared_with() -> None:
    problem = problem_of([0, 1])  # a tie: which answer wins depends on the ordering alone
    found = replay([problem], [Strategy.MAJORITY_VOTE], num_samples=2, seed=0)[Strategy.MAJORITY_VOTE]
    assert found.accuracy.tolist() == [[found.with_all[0]] * len(CONFIDENCES)]
    assert found.num_samples.tolist() == [[2.0] * len(CONFIDENCES)]


def test_agreement_saves_samples() -> None:
    found = replay([problem_of([0] * 32)], [Strategy.MAJORITY_VOTE], num_samples=32, seed=0)[Strategy.MAJORITY_VOTE]
    assert found.accuracy.tolist() == [[1.0] * len(CONFIDENCES)]
    assert sorted(found.num_samples[0]) == found.num_samples[0].tolist()
    assert found.num_samples[0, 0] < found.num_samples[0, -1] < 32


def test_looks_are_those_of_the_solver() -> None:
    assert look_points(4, 16).tolist() == [4, 6, 8, 10, 12, 15, 16]
    assert look_points(4, 3).tolist() == [3]
