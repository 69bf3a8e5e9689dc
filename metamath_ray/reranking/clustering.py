"""Sampled answers into classes of mathematically equal ones: what the vote and the re-ranking count."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from metamath_ray.grading.balls import Ball, ball_at
from metamath_ray.grading.clock import start_clock
from metamath_ray.grading.equivalence import compare_readings
from metamath_ray.grading.evaluate import rational_value
from metamath_ray.grading.pool import num_algebra_calls
from metamath_ray.grading.readings import Reading, read
from metamath_ray.grading.relations import split_label
from metamath_ray.grading.tree import Node
from metamath_ray.grading.values import is_numbered, values_of
from metamath_ray.types import AnswerCluster

MAX_CALLS_PER_ANSWER = 1
"""Questions to the algebra worker, per answer of a call; what is undecided after that stays apart."""

_ORDERED = frozenset(("tuple", "matrix"))
_UNORDERED = frozenset(("list", "set"))
_OTHER_COLLECTIONS = frozenset(("relation", "ratio", "cup", "cap", "setminus"))


@dataclass(slots=True)
class _Class:
    """Answers found equal so far.

    Attributes:
        reading: The answer that stands for them.
        shape: "" for a scalar; classes of different shapes are never one.
        value: Its exact value, where it has one.
        qualifier: The unit or the label that came with the value, "" for none.
    """

    reading: Reading
    shape: str = ""
    value: Fraction | None = None
    qualifier: str = ""
    ball: Ball | None = None
    members: list[int] = field(default_factory=list)


def cluster_answers(answers: Sequence[str | None]) -> list[AnswerCluster]:
    """Group answers that are mathematically equal, the largest group first, ties by the earliest member.

    The groups are disjoint and do not depend on the order of the answers. Values count as they are written, so that
    0.33 and 0.333 are two groups, unless the exact value of which both are roundings is among the answers and takes
    them in. A percent sign does not count; a unit or a label ("x = 5") does not keep an answer from the bare number,
    but of several units only the most frequent one joins it. A list and a tuple are never one group. None, empty and
    unparsable answers are in no group.
    """
    by_surface: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer is not None and answer.strip():
            by_surface.setdefault(answer.strip(), []).append(index)
    classes = _classes(by_surface)
    _attach(classes)
    clusters = [_cluster(one.members, answers) for one in classes if one.members]
    return sorted(clusters, key=lambda cluster: (-cluster.num_votes, cluster.members[0]))


def _cluster(members: list[int], answers: Sequence[str | None]) -> AnswerCluster:
    """Build the cluster; its answer is the most frequent surface, the first of those on a tie."""
    members = sorted(members)
    (surface, _), *_ = Counter((answers[index] or "").strip() for index in members).most_common(1)
    return AnswerCluster(answer=surface, members=tuple(members))


def _classes(by_surface: dict[str, list[int]]) -> list[_Class]:
    """Put each surface into the class of its exact key, or else of an expression that compares equal."""
    keyed: dict[object, _Class] = {}
    expressions: list[_Class] = []
    budget = num_algebra_calls() + MAX_CALLS_PER_ANSWER * len(by_surface)
    for surface, members in sorted(by_surface.items(), key=lambda item: (-len(item[1]), item[0])):
        reading = next(iter(read(surface)), None)
        if reading is None or reading.kind == "opaque":
            continue
        one = _described(reading)
        key = _exact_key(one)
        if key is not None:
            keyed.setdefault(key, one).members.extend(members)
            continue
        found = next(_equal_classes(one, expressions, budget), None)
        if found is None:
            expressions.append(one)
        (found or one).members.extend(members)
    return [*keyed.values(), *expressions]


def _described(reading: Reading) -> _Class:
    """Return a class of its own for a reading."""
    unit = "" if reading.unit.is_percent else reading.unit.dimension
    if reading.number is not None:
        return _Class(reading, value=reading.number.value, qualifier=unit)
    if reading.node is None:
        return _Class(reading)
    label, node = split_label(reading.node)
    node = values_of(node)
    shape = _shape(node)
    if shape:
        return _Class(reading, shape=shape)
    name = label.text if label is not None and label.head == "symbol" else ""
    return _Class(reading, value=rational_value(node), qualifier=unit or name, ball=ball_at(node, 0))


def _shape(node: Node) -> str:
    if node.head == "record":
        return "unordered" if is_numbered(node) else "ordered"
    if node.head in _ORDERED:
        return "ordered"
    if node.head in _UNORDERED:
        return "unordered"
    return "other" if node.head in _OTHER_COLLECTIONS else ""


def _exact_key(one: _Class) -> tuple[object, ...] | None:
    """Return what decides equality by itself: kind and exact value; None for expressions."""
    reading = one.reading
    if reading.kind in ("text", "choice", "time"):
        return reading.kind, reading.text
    if one.value is not None:
        return "number", one.value * reading.unit.scale, one.qualifier
    return ("choice", reading.text) if len(reading.text) == 1 and reading.text in "ABCDEFGH" else None


def _equal_classes(one: _Class, others: list[_Class], budget: int) -> Iterator[_Class]:
    """Yield the classes that compare equal, while the budget of algebra lasts."""
    for other in others:
        if one.shape != other.shape or (one.ball and other.ball and not one.ball.touches(other.ball)):
            continue
        if num_algebra_calls() >= budget:
            return
        start_clock()
        if compare_readings(one.reading, other.reading).is_equal:
            yield other


def _attach(classes: list[_Class]) -> None:
    """Let rounded decimals join the exact value that they round, and qualified numbers the same bare number."""
    by_size = sorted(classes, key=lambda one: (-len(one.members), one.reading.text))
    bare = {one.value: one for one in by_size if one.value is not None and not one.qualifier}
    exact = sorted(((value, place) for place, one in enumerate(by_size) if (value := _exact_value(one)) is not None))
    for one in by_size:
        number = one.reading.number
        home = None
        if one.value is not None and one.qualifier:
            home = bare.pop(one.value, None)
        elif number is not None and number.places > 0:
            unit = Fraction(1, 10**number.places)
            low = bisect_left(exact, (number.value - unit, -1))
            high = bisect_right(exact, (number.value + unit, len(by_size)))
            near = sorted(place for _, place in exact[low:high])
            home = next((by_size[place] for place in near if _is_rounding(one, by_size[place])), None)
        if home is not None:
            home.members.extend(one.members)
            one.members = []


def _exact_value(one: _Class) -> Fraction | None:
    """Return the size of a number that is exact but no finite decimal: a fraction or an irrational constant."""
    node, number = one.reading.node, one.reading.number
    if one.value is not None:
        is_fraction = one.value.denominator > 1 and (number is None or number.places < 0)
        return one.value if is_fraction else None
    if one.ball is None or node is None or node.symbols() or not one.ball.is_real:
        return None
    return Fraction(one.ball.value.real)


def _is_rounding(decimal: _Class, exact: _Class) -> bool:
    start_clock()
    return compare_readings(decimal.reading, exact.reading).is_equal
