"""Sampled answers into classes of mathematically equal ones: what the vote and the re-ranking count."""

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
from metamath_ray.types import AnswerCluster

MAX_CALLS_PER_ANSWER = 1
"""Questions to the algebra worker, per answer of a call; what is undecided after that stays apart."""

_COLLECTIONS = frozenset(("list", "set", "tuple", "record", "relation", "matrix", "ratio", "cup", "cap", "setminus"))


@dataclass(slots=True)
class _Class:
    """Answers found equal so far: one reading that stands for them, and their indices."""

    reading: Reading
    members: list[int] = field(default_factory=list)


def cluster_answers(answers: Sequence[str | None]) -> list[AnswerCluster]:
    """Group answers that are mathematically equal, the largest group first, ties by the earliest member.

    The groups are disjoint and do not depend on the order of the answers: values count as they are written, so that
    0.33 and 0.333 are two groups, unless the exact value of which both are roundings is among the answers and takes
    them in; a unit or a percent sign does not keep an answer from the same bare number. None, empty and unparsable
    answers are in no group.
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
    expressions: list[tuple[_Class, Ball | None]] = []
    budget = num_algebra_calls() + MAX_CALLS_PER_ANSWER * len(by_surface)
    for surface, members in sorted(by_surface.items(), key=lambda item: (-len(item[1]), item[0])):
        reading = next(iter(read(surface)), None)
        if reading is None or reading.kind == "opaque":
            continue
        key = _exact_key(reading)
        if key is not None:
            keyed.setdefault(key, _Class(reading)).members.extend(members)
            continue
        value = _fingerprint(reading)
        found = next(_equal_classes(reading, value, expressions, budget), None)
        if found is None:
            found = _Class(reading)
            expressions.append((found, value))
        found.members.extend(members)
    return [*keyed.values(), *(one for one, _ in expressions)]


def _exact_key(reading: Reading) -> tuple[object, ...] | None:
    """Return what decides equality by itself: kind and exact value; None for expressions."""
    if reading.kind in ("text", "choice", "time"):
        return reading.kind, reading.text
    value = reading.number.value if reading.number is not None else None
    if value is None and reading.node is not None:
        value = rational_value(reading.node)
    if value is None:
        return ("choice", reading.text) if len(reading.text) == 1 and reading.text in "ABCDEFGH" else None
    dimension = "" if reading.unit.is_percent else reading.unit.dimension
    return "number", value * reading.unit.scale, dimension


def _fingerprint(reading: Reading) -> Ball | None:
    """Return the value at one random point, None for what has none; equal expressions have close fingerprints."""
    if reading.node is None or reading.node.head in _COLLECTIONS:
        return None
    return ball_at(reading.node, 0)


def _equal_classes(
    reading: Reading, value: Ball | None, expressions: list[tuple[_Class, Ball | None]], budget: int
) -> Iterator[_Class]:
    """Yield the classes whose reading compares equal, while the budget of algebra lasts."""
    for one, other in expressions:
        if value is not None and other is not None and not value.touches(other):
            continue
        if num_algebra_calls() >= budget:
            return
        start_clock()
        if compare_readings(reading, one.reading).is_equal:
            yield one


def _attach(classes: list[_Class]) -> None:
    """Let rounded decimals join the exact value that they round, and numbers with a unit the same bare number."""
    by_size = sorted(classes, key=lambda one: (-len(one.members), min(one.members)))
    exact = [(value, one) for one in by_size if (value := _exact_value(one.reading)) is not None]
    bare = {
        _bare_value(one.reading): one for one in by_size if one.reading.kind == "number" and not _has_unit(one.reading)
    }
    for one in by_size:
        number = one.reading.number
        home = None
        if number is not None and _has_unit(one.reading):
            home = bare.pop(number.value, None)
        elif number is not None and number.places >= 0:
            home = next((other for value, other in exact if _rounds(one.reading, value, other.reading)), None)
        if home is not None:
            home.members.extend(one.members)
            one.members = []


def _has_unit(reading: Reading) -> bool:
    return bool(reading.unit.dimension) and not reading.unit.is_percent


def _bare_value(reading: Reading) -> Fraction | None:
    return reading.number.value if reading.number is not None else None


def _exact_value(reading: Reading) -> float | None:
    """Return the size of an answer that is exact but no finite decimal: a fraction or an irrational constant."""
    if reading.number is not None:
        is_fraction = reading.number.places < 0 and reading.number.value.denominator > 1
        return float(reading.number.value) if is_fraction else None
    if reading.node is None or reading.node.symbols() or reading.node.head in _COLLECTIONS:
        return None
    ball = ball_at(reading.node, 0)
    return float(ball.value.real) if ball is not None and ball.is_real else None


def _rounds(decimal: Reading, value: float, exact: Reading) -> bool:
    """Whether the decimal compares equal to the exact value; values that are far apart are not asked about."""
    if decimal.number is None or abs(value - decimal.number.value) > 10.0**-decimal.number.places:
        return False
    start_clock()
    return compare_readings(decimal, exact).is_equal
