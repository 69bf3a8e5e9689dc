"""`compare`: the case table, and the laws that hold for any two strings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.grading import Verdict, compare
from metamath_ray.grading.equivalence import explain, explain_patiently
from tests.unit.grading.tables import load_table

CASES = load_table("grading_equivalence.json")
MATHEMATICAL = st.text(alphabet="0123456789xyzeiπ+-*/^_=<>()[]{}\\,.;:%$ |!&'" + "frac sqrt pi text", max_size=40)


def test_table_is_large_and_its_ids_are_unique() -> None:
    assert len(CASES) >= 400
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, str]) -> None:
    found = explain_patiently(case["a"], case["b"])
    assert found.verdict == case["verdict"], found.reason
    assert explain_patiently(case["b"], case["a"]).verdict == case["verdict"]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case_is_reflexive(case: dict[str, str]) -> None:
    assert compare(case["a"], case["a"]) is Verdict.EQUAL


@pytest.mark.parametrize("empty", ["", " ", "\n", "$$", "\x00"])
def test_empty_equals_nothing(empty: str) -> None:
    assert compare("5", empty) is not Verdict.EQUAL
    assert compare("", empty) is not Verdict.EQUAL


@given(st.integers(), st.integers())
def test_integers_compare_by_value(a: int, b: int) -> None:
    assert (compare(str(a), f"{b:,}") is Verdict.EQUAL) == (a == b)


@given(st.fractions(), st.integers(min_value=1, max_value=50))
def test_expanded_fractions_are_equal(value: object, factor: int) -> None:
    top, bottom = value.numerator * factor, value.denominator * factor  # type: ignore[attr-defined]
    assert compare(str(value), rf"\frac{{{top}}}{{{bottom}}}") is Verdict.EQUAL
    assert compare(str(value), f"{top + 1}/{bottom}") is Verdict.DIFFERENT


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_trailing_zeros_do_not_matter(value: object) -> None:
    assert compare(str(value), f"{value}00") is Verdict.EQUAL


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_lists_are_free_of_order_and_tuples_are_not(items: list[int], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    written, other = ", ".join(map(str, items)), ", ".join(map(str, shuffled))
    assert compare(written, other) is Verdict.EQUAL
    assert (compare(f"({written})", f"({other})") is Verdict.EQUAL) == (items == shuffled)


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_expanded_products_are_equal(a: int, b: int) -> None:
    factored = f"(x+{a})(x+{b})".replace("+-", "-")
    expanded = f"x^2+{a + b}x+{a * b}".replace("+-", "-")
    assert compare(factored, expanded) is Verdict.EQUAL
    assert compare(factored, f"{expanded}+1") is Verdict.DIFFERENT


@settings(max_examples=300, deadline=None)
@given(MATHEMATICAL, MATHEMATICAL)
def test_symmetric_and_reflexive_on_any_strings(a: str, b: str) -> None:
    one, other = explain(a, b), explain(b, a)
    assert one.verdict is other.verdict or one.transient or other.transient
    if a.strip():
        assert compare(a, a) is Verdict.EQUAL


def test_undecided_says_why() -> None:
    assert explain("9^{9^{9^9}}", "7").reason
