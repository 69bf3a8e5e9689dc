from math import isnan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.statistics import Z95, mean_over_seeds, rate


# The first four are published: R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
@pytest.mark.parametrize(
    ("num_hits", "num", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_intervals_are_wilsons(num_hits: int, num: int, low: float, high: float) -> None:
    found = rate([True] * num_hits + [False] * (num - num_hits))
    assert (found.num_hits, found.num, found.rate) == (num_hits, num, num_hits / num)
    assert [found.low, found.high] == pytest.approx([low, high], abs=6e-5)


@given(st.lists(st.booleans(), min_size=1))
def test_an_interval_holds_exactly_the_shares_that_the_count_does_not_contradict(hits: list[bool]) -> None:
    """Wilson's ends are where the observed share is 1.96 standard errors away, by the error of the end itself."""
    found = rate(hits)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert abs(found.rate - end) == pytest.approx(Z95 * sqrt(end * (1 - end) / found.num), abs=1e-9)


@given(st.lists(st.booleans()))
def test_hits_and_misses_swapped_mirror_the_interval(hits: list[bool]) -> None:
    one, other = rate(hits), rate([not hit for hit in hits])
    assert [one.low, one.high] == pytest.approx([1 - other.high, 1 - other.low])


def test_nothing_counted_says_nothing() -> None:
    nothing = rate([])
    assert isnan(nothing.rate)
    assert (nothing.num_hits, nothing.num, nothing.low, nothing.high) == (0, 0, 0.0, 1.0)


def test_a_rate_reads_as_one_line() -> None:
    assert str(rate([True] * 600 + [False] * 600)) == "50.0% [47.2%, 52.8%] of 1,200"


def test_one_seed_has_the_interval_of_its_problems() -> None:
    found = mean_over_seeds([[1, 0, 0, 1, 1, 0, 1, 1]])
    error = sqrt(5 / 8 * 3 / 8 / 7)  # the unbiased variance of 8 draws, over 8
    assert (found.mean, found.num_problems, found.num_seeds) == (5 / 8, 8, 1)
    assert [found.low, found.high] == pytest.approx([5 / 8 - Z95 * error, 5 / 8 + Z95 * error])


def test_seeds_that_disagree_widen_the_interval_and_seeds_that_agree_do_not() -> None:
    alone, agreeing = mean_over_seeds([[1, 0, 1, 0]]), mean_over_seeds([[1, 0, 1, 0]] * 3)
    assert (agreeing.low, agreeing.high) == (alone.low, alone.high)
    apart = mean_over_seeds([[1, 1, 1, 1], [0, 0, 0, 0]])
    # the problems agree exactly; the seeds' means are 1 and 0, of variance 1/2 over 2 seeds
    assert [apart.low, apart.high] == pytest.approx([0.5 - Z95 * 0.5, 0.5 + Z95 * 0.5])


def test_a_difference_on_the_same_problems_is_surer_than_its_two_rates() -> None:
    first, second = [1, 1, 1, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0]
    paired = mean_over_seeds([[a - b for a, b in zip(first, second, strict=True)]])
    alone = mean_over_seeds([first])
    assert paired.mean == 1 / 8
    assert paired.high - paired.low < alone.high - alone.low
    assert str(alone) == f"50.0 [{100 * alone.low:.1f}, {100 * alone.high:.1f}]"
