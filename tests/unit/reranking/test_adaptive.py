"""When sampling stops: against every way in which the remaining draws can fall."""

from collections.abc import Sequence
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import ConfigError
from metamath_ray.reranking import (
    AdaptiveSampling,
    Strategy,
    choose,
    next_round,
    probability_of_staying,
    should_stop,
)
from metamath_ray.reranking.adaptive import PRIOR_VOTES, probability_of_the_best_staying
from metamath_ray.types import AnswerCluster


def enumerated(
    counts: tuple[float, float, float], totals: tuple[float, float], steps: tuple[float, float], left: int
) -> float:
    """Follow each sequence of draws from the urn (leader, runner-up, all else) to its end."""
    if not left:
        return float(totals[0] > totals[1] + 1e-9)
    everything = sum(counts)
    leader, rival, others = counts
    return (
        leader
        / everything
        * enumerated((leader + 1, rival, others), (totals[0] + steps[0], totals[1]), steps, left - 1)
        + rival
        / everything
        * enumerated((leader, rival + 1, others), (totals[0], totals[1] + steps[1]), steps, left - 1)
        + others / everything * enumerated((leader, rival, others + 1), totals, steps, left - 1)
    )


def brute_force(votes: Sequence[int], num_drawn: int, num_samples: int, weights: Sequence[float]) -> float:
    """The leader against the runner-up, and against an answer not seen yet, whose votes weigh like the leader's."""
    (first, ahead), *runner_up = sorted(zip(weights, votes, strict=True), reverse=True)[:2]
    rivals = [(first, ahead, 0.0, 0), *((second, behind, second, behind) for second, behind in runner_up)]
    found = []
    for weight, count, start, behind in rivals:
        counts = (ahead + PRIOR_VOTES, behind + PRIOR_VOTES, num_drawn - ahead - behind + PRIOR_VOTES)
        steps = (first / ahead, weight / count)
        found.append(enumerated(counts, (first, start), steps, num_samples - num_drawn))
    return min(found)


def clusters_of(*sizes: int) -> list[AnswerCluster]:
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return [
        AnswerCluster(answer=str(place), members=tuple(range(start, start + size)))
        for place, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]


@st.composite
def states(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Votes, samples drawn, and N with at most five to go."""
    votes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    num_drawn = sum(votes) + draw(st.integers(0, 3))
    return votes, num_drawn, num_drawn + draw(st.integers(1, 5))


@given(states())
def test_votes_agree_with_enumeration(state: tuple[list[int], int, int]) -> None:
    votes, num_drawn, num_samples = state
    expected = brute_force(votes, num_drawn, num_samples, [float(number) for number in votes])
    assert isclose(probability_of_staying(votes, num_drawn, num_samples), expected, rel_tol=1e-9, abs_tol=1e-9)


@given(states(), st.data())
def test_weighted_votes_agree_with_enumeration(state: tuple[list[int], int, int], data: st.DataObject) -> None:
    votes, num_drawn, num_samples = state
    means = data.draw(st.lists(st.sampled_from((0.25, 0.5, 1.0)), min_size=len(votes), max_size=len(votes)))
    weights = [number * mean for number, mean in zip(votes, means, strict=True)]
    found = probability_of_staying(votes, num_drawn, num_samples, weights=weights)
    assert isclose(found, brute_force(votes, num_drawn, num_samples, weights), rel_tol=1e-9, abs_tol=1e-9)


def test_a_light_runner_up_does_not_hide_answers_not_seen_yet() -> None:
    alone = probability_of_staying([3], 4, 16, weights=[3.0])
    assert probability_of_staying([3, 1], 4, 16, weights=[3.0, 0.01]) == alone
    assert alone == pytest.approx(0.9615, abs=1e-4)


def test_worked_by_hand() -> None:
    # Two votes to one, one sample to go; of the urn's 3 + 2 + 1 balls the runner-up's two make it a tie, which is lost.
    assert isclose(probability_of_staying([2, 1], 3, 4), 4 / 6)
    # One vote, one to go: a new answer (1 of the 2 + 1 + 1 balls) would tie.
    assert isclose(probability_of_staying([1], 1, 2), 3 / 4)


@given(states())
def test_a_lead_that_cannot_be_lost_is_certain(state: tuple[list[int], int, int]) -> None:
    votes, num_drawn, num_samples = state
    first, second = sorted([*votes, 0], reverse=True)[:2]
    is_out_of_reach = first - second > num_samples - num_drawn
    assert (probability_of_staying(votes, num_drawn, num_samples) == 1.0) == is_out_of_reach


@given(states())
def test_one_more_vote_for_the_leader_makes_it_surer(state: tuple[list[int], int, int]) -> None:
    votes, num_drawn, num_samples = state
    votes.sort(reverse=True)
    before = probability_of_staying(votes, num_drawn, num_samples)
    after = probability_of_staying([votes[0] + 1, *votes[1:]], num_drawn + 1, num_samples)
    assert after >= before - 1e-12


@given(states())
def test_one_more_vote_for_the_runner_up_makes_it_less_sure(state: tuple[list[int], int, int]) -> None:
    votes, num_drawn, num_samples = state
    first, *rest = sorted([*votes, 1], reverse=True)
    if rest[0] == first:
        return
    num_drawn, num_samples = num_drawn + 1, num_samples + 2
    before = probability_of_staying([first, *rest], num_drawn, num_samples)
    after = probability_of_staying([first, rest[0] + 1, *rest[1:]], num_drawn + 1, num_samples)
    assert after <= before + 1e-12


@given(states())
def test_the_order_of_the_clusters_does_not_matter(state: tuple[list[int], int, int]) -> None:
    votes, num_drawn, num_samples = state
    assert probability_of_staying(votes, num_drawn, num_samples) == probability_of_staying(
        votes[::-1], num_drawn, num_samples
    )


def test_a_scale_of_the_weights_does_not_matter() -> None:
    whole = probability_of_staying([5, 3], 8, 16, weights=[5.0, 3.0])
    assert whole == probability_of_staying([5, 3], 8, 16)
    assert isclose(whole, probability_of_staying([5, 3], 8, 16, weights=[1.25, 0.75]))


def test_a_verifier_that_prefers_the_leader_makes_it_surer() -> None:
    plain = probability_of_staying([5, 3], 8, 16)
    assert probability_of_staying([5, 3], 8, 16, weights=[5 * 0.9, 3 * 0.2]) > plain


def test_nothing_is_certain_without_a_vote_or_a_weight() -> None:
    assert probability_of_staying([], 4, 16) == 0.0
    assert probability_of_staying([3, 1], 4, 16, weights=[0.0, 0.0]) < 1e-12


def test_nothing_left_to_draw_is_certain() -> None:
    assert probability_of_staying([1, 1], 16, 16) == 1.0


def test_many_samples_do_not_underflow() -> None:
    # By the normal approximation: about 690 draws on the two, of a share 121 / 232, must stay above (690 - 10) / 2.
    assert probability_of_staying([120, 110, 20], 250, 1000) == pytest.approx(0.776, abs=0.01)
    assert 0.999 < probability_of_staying([150, 100], 250, 1000) < 1.0
    # Nothing is decided between equals, however small the probability that all draws go elsewhere.
    assert probability_of_staying([300, 299], 600, 2000) == pytest.approx(0.5, abs=0.03)
    assert probability_of_staying([500, 499], 1000, 2000) == pytest.approx(0.5, abs=0.03)


def test_the_best_solution_stays_more_surely_the_more_were_drawn() -> None:
    found = [probability_of_the_best_staying(votes, 2 * votes, 16) for votes in range(1, 9)]
    assert found == sorted(found)
    assert isclose(found[3], 0.5 + 0.5 * 5 / 10)
    assert found[-1] == 1.0


@pytest.mark.parametrize(
    ("strategy", "scores", "stops"),
    [
        (Strategy.MAJORITY_VOTE, {}, False),
        (Strategy.WEIGHTED_VOTE, dict.fromkeys(range(8), 0.5), False),
        (Strategy.WEIGHTED_VOTE, {index: 0.9 if index < 5 else 0.05 for index in range(8)}, True),
        (Strategy.BEST_OF_N, {index: 0.9 if index < 5 else 0.05 for index in range(8)}, False),
    ],
)
def test_what_decides_is_what_the_strategy_weighs(strategy: Strategy, scores: dict[int, float], stops: bool) -> None:
    clusters = clusters_of(5, 3)
    choice = choose(clusters, scores, strategy)
    assert should_stop(clusters, choice, strategy, num_drawn=8, num_samples=16, confidence=0.95) is stops


def test_without_an_answer_sampling_goes_on() -> None:
    choice = choose([], {}, Strategy.MAJORITY_VOTE)
    assert not should_stop([], choice, Strategy.MAJORITY_VOTE, num_drawn=8, num_samples=16, confidence=0.1)


@given(st.integers(1, 64), st.integers(1, 256))
def test_rounds_add_up_to_all_samples(min_samples: int, num_samples: int) -> None:
    drawn = [0]
    while drawn[-1] < num_samples:
        drawn.append(drawn[-1] + next_round(drawn[-1], min_samples=min_samples, num_samples=num_samples))
        assert drawn[-1] > drawn[-2]
    assert drawn[1] == min(min_samples, num_samples)
    assert drawn[-1] == num_samples


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_samples": 0}, "min_samples is 0"),
        ({"confidence": 0.0}, "confidence is 0"),
        ({"confidence": 1.5}, "is 1.5"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AdaptiveSampling(**settings)  # type: ignore[arg-type]
