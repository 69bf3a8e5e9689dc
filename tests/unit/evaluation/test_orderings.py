"""Curves against `choose` itself, ordering by ordering, and against all orderings of few samples."""

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.evaluation.orderings import (
    OF_TOP_CLUSTERS,
    accuracies,
    accuracies_by_clusters,
    choices,
    draw_positions,
    exact_at_one,
    sizes_up_to,
    tally,
    top_clusters,
    with_all,
    without_scores,
)
from metamath_ray.evaluation.problem_samples import NO_VOTE, Ints, ProblemSamples
from metamath_ray.reranking import Strategy, choose, samples_to_score
from metamath_ray.types import AnswerCluster
from tests.unit.evaluation.tables import problem_of

SCORES = st.integers(0, 16).map(lambda number: number / 16)


@st.composite
def problems(draw: st.DrawFn, max_size: int = 10) -> ProblemSamples:
    labels = draw(st.lists(st.integers(-1, 4), min_size=1, max_size=max_size))
    scores = draw(st.lists(SCORES, min_size=len(labels), max_size=len(labels)))
    return problem_of(labels, scores, right=draw(st.integers(0, 4)))


def prefix_of(
    problem: ProblemSamples, order: Sequence[int], size: int
) -> tuple[list[AnswerCluster], Mapping[int, float]]:
    """The clusters of the first samples of an ordering, numbered by their places in it, as `choose` takes them."""
    members: dict[int, list[int]] = {}
    for place, sample in enumerate(order[:size]):
        if problem.cluster[sample] != NO_VOTE:
            members.setdefault(int(problem.cluster[sample]), []).append(place)
    clusters = [AnswerCluster(answer=str(name), members=tuple(places)) for name, places in members.items()]
    return clusters, {place: float(problem.scores[order[place]]) for one in clusters for place in one.members}


def all_positions(num_samples: int) -> Ints:
    """The place of each sample in each of all orderings."""
    return np.array(list(permutations(range(num_samples)))).T


def choice_of(clusters: Sequence[AnswerCluster], chosen: int | None) -> int:
    return NO_VOTE if chosen is None else int(clusters[chosen].answer)


@given(problems(), st.sampled_from(Strategy), st.integers(1, 5), st.integers(1, 10), st.integers(0, 9))
def test_every_ordering_and_size_gives_what_choose_gives(
    problem: ProblemSamples, strategy: Strategy, num_clusters: int, num_best: int, seed: int
) -> None:
    positions = draw_positions(problem, 4, seed)
    sizes = np.arange(1, problem.num_samples + 1)
    counted = tally(problem, positions, sizes, use_scores=True)
    counted = counted if strategy.needs_scores else without_scores(counted)
    found = choices(counted, strategy, num_clusters=num_clusters, num_best=num_best)
    for ordering in range(4):
        order = np.argsort(positions[:, ordering]).tolist()
        for size in sizes.tolist():
            clusters, scores = prefix_of(problem, order, size)
            scores = scores if strategy.needs_scores else {}
            expected = choose(clusters, scores, strategy, num_clusters=num_clusters, num_best=num_best)
            assert found[size - 1, ordering] == choice_of(clusters, expected.cluster)


@given(problems(max_size=4), st.integers(1, 3), st.integers(1, 5))
def test_expected_accuracy_and_calls_are_those_over_all_orderings(
    problem: ProblemSamples, num_clusters: int, num_best: int
) -> None:
    sizes = np.arange(1, problem.num_samples + 1)
    counted = tally(problem, all_positions(problem.num_samples), sizes, use_scores=True)
    accuracy, calls = accuracies(problem, counted, Strategy, num_clusters=num_clusters, num_best=num_best)
    for strategy in Strategy:
        for size in sizes.tolist():
            right, scored = [], []
            for order in permutations(range(problem.num_samples)):
                clusters, scores = prefix_of(problem, order, size)
                scores = scores if strategy.needs_scores else {}
                chosen = choose(clusters, scores, strategy, num_clusters=num_clusters, num_best=num_best).cluster
                right.append(chosen is not None and problem.cluster_is_correct[choice_of(clusters, chosen)])
                scored.append(len(samples_to_score(clusters, strategy, num_clusters=num_clusters)))
            assert accuracy[strategy][size - 1] == pytest.approx(np.mean(right))
            assert calls[strategy][size - 1] == pytest.approx(np.mean(scored))
    assert accuracy[Strategy.MAJORITY_VOTE][0] == pytest.approx(exact_at_one(problem))


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 2))
def test_majority_vote_of_two_answers_is_hypergeometric(num_right: int, num_wrong: int, seed: int) -> None:
    """At odd k, the vote is right where most of k drawn without replacement are."""
    total = num_right + num_wrong
    if not 1 <= total <= 7:
        return
    problem = problem_of([0] * num_right + [1] * num_wrong)
    sizes = np.arange(1, total + 1, 2)
    counted = tally(problem, all_positions(total), sizes, use_scores=False)
    accuracy, _ = accuracies(problem, counted, [Strategy.MAJORITY_VOTE], num_clusters=1, num_best=1)
    for size, found in zip(sizes.tolist(), accuracy[Strategy.MAJORITY_VOTE], strict=True):
        most = range(size // 2 + 1, size + 1)
        expected = sum(comb(num_right, hits) * comb(num_wrong, size - hits) for hits in most) / comb(total, size)
        assert found == pytest.approx(expected)


def test_random_orderings_come_close_to_the_expectation() -> None:
    problem = problem_of([0] * 9 + [1] * 6)
    counted = tally(problem, draw_positions(problem, 4_000, 0), np.array([5]), use_scores=False)
    accuracy, _ = accuracies(problem, counted, [Strategy.MAJORITY_VOTE], num_clusters=1, num_best=1)
    expected = sum(comb(9, hits) * comb(6, 5 - hits) for hits in range(3, 6)) / comb(15, 5)
    assert accuracy[Strategy.MAJORITY_VOTE][0] == pytest.approx(expected, abs=0.025)


@given(problems(), st.integers(0, 9))
def test_equal_scores_make_the_weighted_vote_the_majority_vote(problem: ProblemSamples, seed: int) -> None:
    equal = problem_of(problem.cluster.tolist(), [0.3] * problem.num_samples)
    sizes = sizes_up_to(problem.num_samples)
    counted = tally(equal, draw_positions(equal, 8, seed), sizes, use_scores=True)
    accuracy, _ = accuracies(equal, counted, Strategy, num_clusters=8, num_best=16)
    assert accuracy[Strategy.WEIGHTED_VOTE].tolist() == accuracy[Strategy.MAJORITY_VOTE].tolist()


@given(problems(), st.integers(0, 9))
def test_looking_at_k_clusters_is_the_same_one_k_at_a_time(problem: ProblemSamples, seed: int) -> None:
    numbers = np.array([1, 2, 3, 6])
    counted = tally(problem, draw_positions(problem, 5, seed), sizes_up_to(problem.num_samples), use_scores=True)
    found, calls = accuracies_by_clusters(problem, with_all(counted), numbers)
    for column, number in enumerate(numbers.tolist()):
        strategies = [Strategy(name) for name in OF_TOP_CLUSTERS]
        accuracy, scored = accuracies(problem, counted, strategies, num_clusters=number, num_best=1)
        for strategy in strategies:
            assert found[strategy][column] == pytest.approx(accuracy[strategy][-1])
            assert calls[column] == pytest.approx(scored[strategy][-1])


@given(problems(), st.integers(1, 6), st.integers(0, 9))
def test_the_oracle_is_right_where_one_of_the_largest_clusters_is(
    problem: ProblemSamples, number: int, seed: int
) -> None:
    counted = with_all(
        tally(problem, draw_positions(problem, 5, seed), np.array([problem.num_samples]), use_scores=True)
    )
    found, _ = accuracies_by_clusters(problem, counted, np.array([number]))
    top = top_clusters(counted, number)[0]
    hits = [problem.cluster_is_correct[top[:, ordering]].any() for ordering in range(5)]
    assert found["oracle"][0] == pytest.approx(np.mean(hits))
    assert found["oracle"][0] >= max(found[name][0] for name in OF_TOP_CLUSTERS)


def test_clusters_with_all_samples_are_the_largest_by_votes() -> None:
    problem = problem_of([0, 0, 0, 1, 1, 2], [0.5] * 6, right=2)
    counted = tally(problem, draw_positions(problem, 3, 0), np.array([6]), use_scores=True)
    found, _ = accuracies_by_clusters(problem, counted, np.array([1, 2, 3]))
    assert found["oracle"].tolist() == [0.0, 0.0, 1.0]


def test_orderings_are_permutations_and_belong_to_the_problem() -> None:
    problem, other = problem_of([0, 1, 2, 3]), problem_of([0, 1, 2, 3], right=1)
    positions = draw_positions(problem, 64, 0)
    assert (np.sort(positions, axis=0) == np.arange(4)[:, None]).all()
    assert (positions == draw_positions(problem, 64, 0)).all()
    assert (positions != draw_positions(problem, 64, 1)).any()
    assert (positions != draw_positions(other, 64, 0)).any()


@pytest.mark.parametrize(
    ("num_samples", "sizes"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_sizes_double_up_to_all_samples(num_samples: int, sizes: list[int]) -> None:
    assert sizes_up_to(num_samples).tolist() == sizes


def test_subsets_and_orderings_agree_on_the_vote_without_ties() -> None:
    """Three samples of five: the vote of a set does not depend on its order, where it has a majority."""
    problem = problem_of([0, 0, 0, 1, 1])
    counted = tally(problem, all_positions(5), np.array([3]), use_scores=False)
    accuracy, _ = accuracies(problem, counted, [Strategy.MAJORITY_VOTE], num_clusters=1, num_best=1)
    sets = list(combinations([1, 1, 1, 0, 0], 3))
    assert accuracy[Strategy.MAJORITY_VOTE][0] == pytest.approx(np.mean([sum(one) >= 2 for one in sets]))
