"""Whether two answers are the same."""

import re

from metamath_ray.grading.clock import start_clock
from metamath_ray.grading.limits import (
    CACHE_SIZE,
    MAX_ATTEMPTS,
    MAX_CACHED_CHARS,
    MAX_LATEX_BRACKETS,
    MAX_LATEX_CHARS,
)
from metamath_ray.grading.numbers import same_number
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, decided, unknown
from metamath_ray.grading.pool import ask_latex
from metamath_ray.grading.readings import Reading, as_lists, read
from metamath_ray.grading.structures import compare_nodes
from metamath_ray.grading.tree import Node
from metamath_ray.grading.words import is_negated
from metamath_ray.types import Verdict

_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
"""In text for the LaTeX library, which would read a word as a product of its letters."""

_remembered: dict[tuple[str, str], Comparison] = {}


def compare(a: str, b: str) -> Verdict:
    """Say whether two answers are mathematically the same; symmetric, and reflexive on every non-empty string."""
    return explain(a, b).verdict


def explain(a: str, b: str) -> Comparison:
    """Compare like `compare`, and say why where the verdict is unknown."""
    if a == b:
        return EQUAL if a else unknown("empty")
    pair = (a, b) if a < b else (b, a)
    known = _remembered.get(pair)
    if known is None:
        try:
            known = _compare(*pair)
        except RecursionError:
            known = unknown("nested too deeply")
        if not known.transient and len(a) + len(b) <= 2 * MAX_CACHED_CHARS:
            if len(_remembered) >= CACHE_SIZE:
                _remembered.clear()
            _remembered[pair] = known
    return known


def explain_patiently(a: str, b: str) -> Comparison:
    """Compare like `explain`, and again where only a busy machine kept the answer back."""
    for _ in range(MAX_ATTEMPTS):
        found = explain(a, b)
        if not found.transient:
            break
    return found


def forget() -> None:
    """Forget every verdict; the next comparison of each pair is made anew."""
    _remembered.clear()


def _compare(a: str, b: str) -> Comparison:
    start_clock()
    first, second = read(a), read(b)
    if not first or not second:
        return unknown("empty")
    if first[0].kind == second[0].kind == "time":
        return compare_readings(first[0], second[0])
    pairs_a, pairs_b = as_lists(first), as_lists(second)
    if pairs_a and (pairs_b or second[0].kind != "number"):
        first += pairs_a
    if pairs_b and (pairs_a or first[0].kind != "number"):
        second += pairs_b
    verdicts = []
    for one in first:
        for two in second:
            if one.is_weak and two.is_weak:
                continue
            found = compare_readings(one, two)
            if found.is_equal:
                return EQUAL
            verdicts.append(found)
    return verdicts[0]


def compare_readings(a: Reading, b: Reading) -> Comparison:  # noqa: PLR0911
    """Compare two answers, each read in one way."""
    kinds = {a.kind, b.kind}
    if kinds == {"number"}:
        return _compare_quantities(a, b)
    if kinds == {"time"}:
        return _compare_times(a.text, b.text)
    if "choice" in kinds:
        return decided(_letter(a) == _letter(b))
    if "text" in kinds:
        return _compare_texts(a, b)
    if "opaque" in kinds:
        return _compare_opaque(a, b)
    if "time" in kinds:
        return DIFFERENT
    return _compare_trees(a, b)


def _compare_quantities(a: Reading, b: Reading) -> Comparison:
    """Compare two numbers with their units: see docs/grading.md, "Units, percent signs, currencies"."""
    one, two = a.number, b.number
    if one is None or two is None:
        return unknown("no number")
    if a.unit.dimension and b.unit.dimension:
        same = a.unit.dimension == b.unit.dimension
        return decided(same and same_number(one.times(a.unit.scale), two.times(b.unit.scale)))
    if same_number(one, two):
        return EQUAL
    for percent, plain, unit in ((one, two, a.unit), (two, one, b.unit)):
        if unit.is_percent:
            return decided(percent.value / 100 == plain.value)
    return DIFFERENT


def _compare_trees(a: Reading, b: Reading) -> Comparison:
    if a.node is None or b.node is None:
        return unknown("no tree")
    if a.unit.dimension and b.unit.dimension and a.unit.dimension != b.unit.dimension:
        return DIFFERENT
    if a.unit.dimension and b.unit.dimension and a.unit.scale != b.unit.scale:
        return compare_nodes(_scaled(a), _scaled(b))
    found = compare_nodes(a.node, b.node)
    if found.verdict is Verdict.DIFFERENT and any(map(_has_plain_log, (a.node, b.node))):
        found = compare_nodes(_with_common_log(a.node), _with_common_log(b.node))
    if found.verdict is Verdict.DIFFERENT and a.unit.is_percent != b.unit.is_percent:
        return compare_nodes(*(_percent(reading) for reading in (a, b)))
    return found


def _has_plain_log(node: Node) -> bool:
    return any(part.head == "call" and part.text == "log" for part in node.walk())


def _with_common_log(node: Node) -> Node:
    """Read a logarithm without a base as one of base 10: it may be meant so, in both answers alike."""
    args = tuple(map(_with_common_log, node.args))
    if node.head == "call" and node.text == "log":
        return Node("log", (Node("number", text="10"), *args))
    return Node(node.head, args, node.text)


def _scaled(reading: Reading) -> Node:
    return Node("mul", (reading.node or Node("word"), Node("number", text=str(reading.unit.scale))))


def _percent(reading: Reading) -> Node:
    node = reading.node or Node("word")
    return Node("div", (node, Node("number", text="100"))) if reading.unit.is_percent else node


def _compare_times(a: str, b: str) -> Comparison:
    """Compare two times of day; one that does not say which half of the day may mean either."""
    if a[-1] != "?" and b[-1] != "?":
        return decided(a[:-1] == b[:-1])
    half_day = 12 * 3600
    return decided(int(a[:-1]) % half_day == int(b[:-1]) % half_day) if a[-1] != b[-1] else decided(a == b)


def _letter(reading: Reading) -> str:
    """Return the letter that a choice, a symbol or a text of one letter stands for."""
    if reading.kind == "tree" and reading.node is not None:
        return reading.node.text if reading.node.head == "symbol" else "no letter"
    return reading.text


def _compare_texts(a: Reading, b: Reading) -> Comparison:
    """Compare words; of two texts where one contains the other it cannot be said."""
    first, second = (reading.text if reading.kind == "text" else squeezed(reading.text) for reading in (a, b))
    if first == second:
        return EQUAL
    if (
        {a.kind, b.kind} == {"text"}
        and is_negated(first) == is_negated(second)
        and (f" {first} " in f" {second} " or f" {second} " in f" {first} ")
    ):
        return unknown("one text contains the other")
    return DIFFERENT


def squeezed(text: str) -> str:
    r"""Return LaTeX without the spaces and braces that say nothing, for a comparison of spellings.

    A space between two words or numbers says something: "3 4" is not 34, and "\frac{1}{23}" is not "\frac{12}{3}".
    """
    text = re.sub(r"\\(?:left|right|text|mathrm)(?![a-z])|\{\s*\}", "", text)
    text = re.sub(r"\{\s*(\w+)\s*\}", r" \1 ", text)
    return re.sub(r"(?<!\w)\s+|\s+(?!\w)", "", re.sub(r"\s+", " ", text))


def _compare_opaque(a: Reading, b: Reading) -> Comparison:
    if squeezed(a.text) == squeezed(b.text):
        return EQUAL
    if _is_balanced(a.text) != _is_balanced(b.text):
        return DIFFERENT
    if "\\" not in a.text + b.text or any(_PLAIN_WORD.search(text) for text in (a.text, b.text)):
        return unknown("not understood")
    for text in (a.text, b.text):
        if len(text) > MAX_LATEX_CHARS or sum(map(text.count, "([{")) > MAX_LATEX_BRACKETS:
            return unknown("too long")
    return ask_latex(a.text, b.text)


def _is_balanced(text: str) -> bool:
    """Whether as many brackets open as close; a half-open interval closes with the other kind."""
    return sum(text.count(mark) for mark in "([") == sum(text.count(mark) for mark in ")]")
