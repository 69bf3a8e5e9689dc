import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.export.diversity import DIMENSION, Vectors, distances, hashed_ngrams

TEXTS = st.lists(st.text(alphabet="ab c1+", max_size=12), min_size=1, max_size=6)
QUESTION = "A baker fills 4 trays with 12 rolls each. How many rolls?"


def two_numbers(texts: Sequence[str]) -> Vectors:
    """Embed "3 4" as (3, 4)."""
    return np.array([text.split() for text in texts], dtype=np.float32)


@settings(deadline=None)
@given(new=TEXTS, base=TEXTS)
def test_distance_is_that_of_the_nearest(new: list[str], base: list[str]) -> None:
    of_new, of_base = hashed_ngrams(new).astype(float), hashed_ngrams(base).astype(float)
    expected = [min(((x - y) ** 2).sum() for y in of_base) for x in of_new]
    assert distances(new, base) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(texts=TEXTS)
def test_what_is_in_the_base_gains_nothing(texts: list[str]) -> None:
    assert distances(texts, texts) == pytest.approx([0] * len(texts), abs=1e-5)


def test_any_embedding_will_do_and_vectors_need_no_length() -> None:
    assert distances(["3 4", "10 0"], ["0 0", "3 3"], two_numbers).tolist() == [1.0, 58.0]


def test_large_sets_are_measured_in_parts() -> None:
    base = [f"0 {number}" for number in range(9000)]
    assert distances([f"1 {number}" for number in range(0, 9000, 5)], base, two_numbers).tolist() == [1.0] * 1800


def test_more_words_changed_lie_farther_off() -> None:
    versions = [
        QUESTION.upper(),
        QUESTION.replace("baker", "cook"),
        "A cook fills 4 bowls with 12 eggs each. How many eggs?",
        "What is the value of x in the equation 3x = 9?",
    ]
    found = distances(versions, [QUESTION])
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert sorted(found) == found.tolist()
    assert found[1] < 0.5 < found[3]


def test_vectors_have_length_one_but_for_empty_texts() -> None:
    vectors = hashed_ngrams([QUESTION, "", "…"])
    assert vectors.shape == (3, DIMENSION)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0])


def test_other_processes_give_the_same_vectors() -> None:
    code = (
        f"from metamath_ray.export.diversity import hashed_ngrams; print(hashed_ngrams([{QUESTION!r}]).tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert done.stdout.strip() == hashed_ngrams([QUESTION]).tobytes().hex()


def test_without_a_base_there_is_no_distance() -> None:
    with pytest.raises(ValueError, match="no base texts"):
        distances(["a"], [])
