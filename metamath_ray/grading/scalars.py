"""Whether two scalar expressions are equal, by the cheapest means that can decide it."""

from fractions import Fraction

from metamath_ray.grading.balls import Ball, ball_at
from metamath_ray.grading.clock import is_over
from metamath_ray.grading.evaluate import rational_value
from metamath_ray.grading.numbers import Number, same_number
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, decided, unknown
from metamath_ray.grading.pool import ask_algebra
from metamath_ray.grading.residues import proportional_residues, residue
from metamath_ray.grading.tree import Node

_RESIDUE_POINTS = (0, 1)
_FLOAT_POINTS = range(9)


def compare_scalars(a: Node, b: Node) -> Comparison:
    """Compare two scalars: as rationals, as roundings, in the prime field, as floats, and last by algebra."""
    if a == b:
        return EQUAL
    if is_over():
        return unknown("over the time limit")
    first, second = rational_value(a), rational_value(b)
    if first is not None and second is not None:
        return decided(same_number(as_number(a, first), as_number(b, second)))
    if _is_infinite(a) or _is_infinite(b):
        return decided(_is_infinite(a) == _is_infinite(b))
    for rounded, exact, value in ((a, b, first), (b, a, second)):
        if value is not None and not exact.symbols() and _rounds(exact, as_number(rounded, value)):
            return EQUAL
    found = _by_residues(a, b) or _by_floats(a, b)
    return found or ask_algebra("equal", a, b)


def as_number(node: Node, value: Fraction) -> Number:
    """Return the value together with how it is written."""
    literal = node.args[0] if node.head == "neg" else node
    if literal.head != "number" or "e" in literal.text.lower():
        return Number(value)
    whole, point, part = literal.text.partition(".")
    return Number(value, len(part), len((whole + part).lstrip("0"))) if point and part else Number(value)


def _is_infinite(node: Node) -> str:
    """Return "+", "-" for an infinity, "" for anything else."""
    if node.head == "symbol" and node.text == "oo":
        return "+"
    if node.head == "neg" and _is_infinite(node.args[0]):
        return "-"
    return ""


def _rounds(exact: Node, rounded: Number) -> bool:
    """Whether the decimal is an irrational constant, rounded."""
    if rounded.places < 2 or rounded.significant < 2:
        return False
    ball = ball_at(exact, 0)
    if ball is None or not ball.is_real:
        return False
    value = Fraction(ball.value.real)
    return bool(abs(value - rounded.value) <= max(Fraction(1, 2 * 10**rounded.places), abs(value) * _MACHINE_DIGITS))


def _by_residues(a: Node, b: Node) -> Comparison | None:
    """Decide in the prime field, None where one of them has no value there."""
    for point in _RESIDUE_POINTS:
        first = residue(a, point)
        second = residue(b, point) if first is not None else None
        if second is None:
            return None
        if first != second:
            return DIFFERENT
    return EQUAL


def _by_floats(a: Node, b: Node) -> Comparison | None:
    """Tell them apart where their values clearly differ; machine numbers never say that two are equal."""
    points = _FLOAT_POINTS if a.symbols() or b.symbols() else (0,)
    is_complex = any(node.text == "i" for node in (*a.walk(), *b.walk()) if node.head == "symbol")
    for point in points:
        x, y = ball_at(a, point), ball_at(b, point)
        if x is None or y is None or x.touches(y):
            continue
        if len(points) == 1 or is_complex or (x.is_real and y.is_real):
            return DIFFERENT
    return None


def compare_proportional(a: Node, b: Node) -> Comparison:
    """Whether a = k·b for a constant k other than 0: the equations a = 0 and b = 0 are then the same."""
    found = proportional_residues(a, b)
    return ask_algebra("proportional", a, b) if found is None else decided(found)


def sign_of_factor(a: Node, b: Node) -> int:
    """Return the sign of a / b for two proportional expressions, 0 where it cannot be seen."""
    for point in _FLOAT_POINTS:
        x, y = ball_at(a, point), ball_at(b, point)
        if x and y and not x.touches(_ZERO) and not y.touches(_ZERO):
            return 1 if (x.value / y.value).real > 0 else -1
    return 0


_ZERO = Ball(0j, 0.0)
_MACHINE_DIGITS = Fraction(4, 10**15)
