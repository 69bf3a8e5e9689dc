"""Model text becomes HTML in a page: nothing in it may run."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.solve.typeset import _ATTRIBUTES, _ELEMENTS, typeset
from tests.unit.services.kit import answering, api, client

ATTACKS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "typeset_attacks.json").read_text("utf-8")
)
LATEX = st.text(st.sampled_from(list("$\\{}[]()^_&<>\"'ab1 \n")) | st.characters(), max_size=40)
COMMANDS = st.sampled_from(
    [r"\frac", r"\sqrt", r"\text{", r"\left(", r"\begin{matrix}", r"\boxed{", r"\href", "$", r"\["]
)


def assert_harmless(html: str) -> None:
    """Everything in the HTML is text or an element of MathML that cannot do anything."""
    bare = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", html)
    root = ElementTree.fromstring(f"<div>{bare}</div>")  # noqa: S314  (our own writing, read to be checked)
    for element in list(root.iter())[1:]:
        assert element.tag in _ELEMENTS
        assert set(element.attrib) <= _ATTRIBUTES
        assert not any("javascript" in value for value in element.attrib.values())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["id"])
def test_an_attack_stays_text(attack: dict[str, Any]) -> None:
    assert_harmless(typeset(attack["text"]))


@given(st.lists(LATEX | COMMANDS, max_size=8).map("".join))
def test_any_text_becomes_harmless_html(text: str) -> None:
    assert_harmless(typeset(text))


@given(st.text(st.characters(exclude_characters="$\\&<>\"'")))
def test_text_without_mathematics_stays_as_it_is(text: str) -> None:
    assert typeset(text) == text


@pytest.mark.parametrize(
    "text", [r"$\frac{1}{2}$", r"\(\frac{1}{2}\)", r"\[\frac{1}{2}\]", r"$$\frac{1}{2}$$", r"\boxed{\frac{1}{2}}"]
)
def test_all_delimiters_are_known(text: str) -> None:
    html = typeset(f"so {text}, done")
    assert html.startswith("so <math")
    assert html.endswith("</math>, done")
    assert "<mfrac>" in html


@pytest.mark.parametrize("text", ["It costs $5 and $6.", r"$\frac{$", r"\boxed{", "50% of $", "$" * 9])
def test_what_is_no_formula_stays_as_it_was_written(text: str) -> None:
    assert typeset(text) == text


def test_a_formula_that_is_too_long_stays_as_it_was_written() -> None:
    assert typeset(f"${'x' * 1001}$") == f"${'x' * 1001}$"


async def test_the_route_sets_text_and_caps_its_length() -> None:
    async with client(api(answering("7"))) as caller:
        good = await caller.post("/page/typeset", json={"text": "$x^2$"})
        long = await caller.post("/page/typeset", json={"text": "x" * 20_001})
    assert "<msup>" in good.json()["html"]
    assert long.status_code == 422
