"""`choose`: examples worked by hand, and the laws that hold for any scores."""

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import ConfigError, DataError
from metamath_ray.reranking import Choice, Strategy, choose, samples_to_score
from metamath_ray.types import AnswerCluster

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "data" / "reranking_strategies.json").read_text(encoding="utf-8")
)
Scored = tuple[list[AnswerCluster], dict[int, float]]


def clusters_of(groups: Sequence[Sequence[int]]) -> list[AnswerCluster]:
    return [AnswerCluster(answer=str(place), members=tuple(members)) for place, members in enumerate(groups)]


def grouped(labels: Sequence[int]) -> list[AnswerCluster]:
    """Group as `cluster_answers` does; a negative label does not vote."""
    members: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        if label >= 0:
            members.setdefault(label, []).append(index)
    found = [AnswerCluster(answer=str(label), members=tuple(indices)) for label, indices in members.items()]
    return sorted(found, key=lambda cluster: (-cluster.num_votes, cluster.members[0]))


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    clusters = grouped(draw(st.lists(st.integers(-1, 5), max_size=20)))
    members = [index for cluster in clusters for index in cluster.members]
    values = draw(st.lists(st.floats(0, 1), min_size=len(members), max_size=len(members)))
    return clusters, dict(zip(members, values, strict=True))


def answer(clusters: Sequence[AnswerCluster], choice: Choice) -> str | None:
    return None if choice.cluster is None else clusters[choice.cluster].answer


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    limits = {name: case[name] for name in ("num_clusters", "num_best") if name in case}
    scores = {int(index): score for index, score in case["scores"].items()}
    found = choose(clusters_of(case["clusters"]), scores, Strategy(case["strategy"]), **limits)
    assert (found.cluster, found.sample) == (case["cluster"], case["sample"])
    assert found.confidence == pytest.approx(case["confidence"])
    assert found.weights == pytest.approx(tuple(case["weights"]))


@given(scored(), st.sampled_from(Strategy), st.randoms(use_true_random=False), st.integers(1, 8), st.integers(1, 20))
def test_the_order_of_the_clusters_does_not_matter(
    given_: Scored,
    strategy: Strategy,
    random: Random,
    num_clusters: int,
    num_best: int,
) -> None:
    clusters, scores = given_
    found = choose(clusters, scores, strategy, num_clusters=num_clusters, num_best=num_best)
    shuffled = random.sample(clusters, len(clusters))
    again = choose(shuffled, scores, strategy, num_clusters=num_clusters, num_best=num_best)
    assert (answer(shuffled, again), again.sample, again.confidence) == (
        answer(clusters, found), found.sample, found.confidence,
    )  # fmt: skip


@given(st.lists(st.integers(-1, 4), max_size=12), st.sampled_from(Strategy), st.data())
def test_the_order_of_the_samples_does_not_matter_but_for_ties(
    labels: list[int], strategy: Strategy, data: st.DataObject
) -> None:
    distinct = data.draw(st.permutations([2.0 ** -(place + 1) for place in range(len(labels))]))
    order = data.draw(st.permutations(range(len(labels))))
    clusters = grouped(labels)
    scores = dict(enumerate(distinct))
    moved_scores = {place: distinct[index] for place, index in enumerate(order)}
    moved = grouped([labels[index] for index in order])
    sizes = [cluster.num_votes for cluster in clusters]
    if strategy.needs_top_clusters_alone and len(set(sizes)) < len(sizes):
        return  # which of equal clusters are the K largest, the earliest member decides
    found = choose(clusters, scores, strategy, num_clusters=2, num_best=3)
    assert answer(moved, choose(moved, moved_scores, strategy, num_clusters=2, num_best=3)) == answer(clusters, found)


@given(scored())
def test_all_clusters_are_the_same_as_no_limit(given_: Scored) -> None:
    clusters, scores = given_
    for limited, unlimited in (
        (Strategy.BEST_OF_TOP_CLUSTERS, Strategy.BEST_OF_N),
        (Strategy.WEIGHTED_VOTE_TOP_CLUSTERS, Strategy.WEIGHTED_VOTE),
    ):
        everything = max(1, len(clusters))
        assert choose(clusters, scores, limited, num_clusters=everything) == choose(clusters, scores, unlimited)


@given(scored(), st.floats(0, 1))
def test_equal_scores_turn_the_weighted_vote_into_the_majority_vote(given_: Scored, score: float) -> None:
    clusters, scores = given_
    equal = dict.fromkeys(scores, score)
    weighted = choose(clusters, equal, Strategy.WEIGHTED_VOTE)
    majority = choose(clusters, equal, Strategy.MAJORITY_VOTE)
    assert (weighted.cluster, weighted.sample) == (majority.cluster, majority.sample)


@given(scored())
def test_best_of_n_takes_the_best_score(given_: Scored) -> None:
    clusters, scores = given_
    choice = choose(clusters, scores, Strategy.BEST_OF_N)
    assert (choice.sample is None) == (not scores)
    assert choice.sample is None or scores[choice.sample] == max(scores.values())


@given(scored())
def test_the_majority_of_more_best_than_there_are_is_the_majority(given_: Scored) -> None:
    clusters, scores = given_
    found = choose(clusters, scores, Strategy.MAJORITY_OF_BEST, num_best=max(1, len(scores)))
    assert found == choose(clusters, scores, Strategy.MAJORITY_VOTE)


@given(scored(), st.sampled_from(Strategy))
def test_without_scores_every_strategy_is_the_majority_vote(given_: Scored, strategy: Strategy) -> None:
    clusters, _ = given_
    found = choose(clusters, {}, strategy, num_clusters=max(1, len(clusters)))
    assert found == choose(clusters, {}, Strategy.MAJORITY_VOTE)


@given(scored(), st.sampled_from(Strategy), st.integers(1, 4), st.integers(1, 20))
def test_a_choice_is_a_share_of_its_weights_and_shows_a_member(
    given_: Scored, strategy: Strategy, num_clusters: int, num_best: int
) -> None:
    clusters, scores = given_
    found = choose(clusters, scores, strategy, num_clusters=num_clusters, num_best=num_best)
    assert 0 <= found.confidence <= 1
    assert len(found.weights) == len(clusters)
    if found.cluster is not None:
        assert found.sample in clusters[found.cluster].members
        assert found.weights[found.cluster] == max(found.weights)


@given(scored(), st.sampled_from(Strategy), st.integers(1, 4), st.integers(1, 20))
def test_scores_that_were_not_asked_for_change_no_answer(
    given_: Scored, strategy: Strategy, num_clusters: int, num_best: int
) -> None:
    clusters, scores = given_
    needed = samples_to_score(clusters, strategy, num_clusters=num_clusters)
    asked: Mapping[int, float] = {index: scores[index] for index in needed}
    if strategy.needs_scores:
        assert choose(clusters, asked, strategy, num_clusters=num_clusters, num_best=num_best) == choose(
            clusters, scores, strategy, num_clusters=num_clusters, num_best=num_best
        )


def test_only_what_a_strategy_needs_is_scored() -> None:
    clusters = clusters_of([[1, 4, 5], [0, 3], [2]])
    assert samples_to_score(clusters, Strategy.MAJORITY_VOTE) == ()
    assert samples_to_score(clusters, Strategy.BEST_OF_TOP_CLUSTERS, num_clusters=2) == (0, 1, 3, 4, 5)
    assert samples_to_score(clusters, Strategy.WEIGHTED_VOTE_TOP_CLUSTERS, num_clusters=1) == (1, 4, 5)
    for strategy in (Strategy.BEST_OF_N, Strategy.WEIGHTED_VOTE, Strategy.MAJORITY_OF_BEST):
        assert samples_to_score(clusters, strategy, num_clusters=1) == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("score", [nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(DataError, match="the score of sample 1 is"):
        choose(clusters_of([[0, 1]]), {0: 0.5, 1: score}, Strategy.WEIGHTED_VOTE)


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_clusters is 0: expected 1 or more"):
        choose([], {}, Strategy.BEST_OF_TOP_CLUSTERS, num_clusters=0)
    with pytest.raises(ConfigError, match="num_best is 0: expected 1 or more"):
        choose([], {}, Strategy.MAJORITY_OF_BEST, num_best=0)
