import string

from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.datasets.folding import fold

PIECES = st.sampled_from([*string.printable, "1,000", "2{,}500", "3.5"])


@given(st.lists(PIECES).map("".join))
def test_an_ascii_text_folds_alike_among_letters_of_other_scripts(text: str) -> None:
    assert fold(f"{text} µ") == f"{fold(text)} μ".lstrip()


@given(st.lists(PIECES).map("".join))
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)
