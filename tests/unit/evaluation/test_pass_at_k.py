from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import ConfigError
from metamath_ray.evaluation.pass_at_k import pass_at_k, pass_at_sizes


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_it_is_the_share_of_sets_that_hold_a_correct_sample(labels: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(labels)))
    expected = np.mean([any(chosen) for chosen in combinations(labels, k)])
    assert pass_at_k(len(labels), sum(labels), k) == pytest.approx(expected)
    assert pass_at_sizes(np.array(labels), np.array([1, k])).tolist() == pytest.approx([np.mean(labels), expected])


def test_large_numbers_do_not_overflow() -> None:
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)
    assert pass_at_k(100_000, 0, 50_000) == 0
    assert pass_at_k(100_000, 60_000, 50_000) == 1


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_samples_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match=f"k is {k}: expected 1 to 3"):
        pass_at_k(3, 1, k)
