from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.report.document import file_name
from metamath_ray.report.plots.figure import LOOKS, METRIC_LOOKS, short, spread
from metamath_ray.report.wording import METRICS

GAP = 0.08


@given(places=st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_names_keep_their_order_and_do_not_overlap(places: list[float]) -> None:
    moved = spread(places, GAP)
    assert len(moved) == len(places)
    assert all(other - one >= GAP - 1e-9 for one, other in pairwise(moved))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)


@given(places=st.lists(st.integers(0, 10), unique=True).map(sorted))
def test_names_with_room_stay_where_they_are(places: list[int]) -> None:
    assert spread([place / 10 for place in places], GAP) == pytest.approx([place / 10 for place in places])


def test_series_differ_in_colour_in_marker_and_in_dashes_alone() -> None:
    for traits in ({look.color for look in LOOKS}, {look.marker for look in LOOKS}, {look.dashes for look in LOOKS}):
        assert len(traits) == len(LOOKS)


def test_every_metric_has_a_look() -> None:
    assert set(METRIC_LOOKS) == set(METRICS)


@given(names=st.lists(st.text(max_size=8), unique=True, max_size=8))
def test_other_things_are_other_files(names: list[str]) -> None:
    files = [file_name("samples", name) for name in names]
    assert len(set(files)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in files)


def test_a_long_name_is_cut() -> None:
    assert short("abcdef", 4) == "abc…"
    assert short("abcd", 4) == "abcd"
