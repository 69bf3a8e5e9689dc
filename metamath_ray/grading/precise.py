"""Values to eighty digits, in the algebra worker only: what machine numbers could not tell apart."""

import mpmath  # type: ignore[import-untyped]

from metamath_ray.grading.balls import Arithmetic, Ball, ball_at
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node

DIGITS = 80
mpmath.mp.dps = DIGITS

PRECISE = Arithmetic(
    library=mpmath,
    make=lambda value: mpmath.mpc(mpmath.mpf(value.numerator) / value.denominator),
    epsilon=mpmath.mpf(10) ** -DIGITS,
    max_log=5e6,
)
_SHARP = mpmath.mpf(10) ** -50
_POINTS = range(16)
_MIN_AGREEING = 3
_ENOUGH_AGREEING = 7


def _is_sharp(ball: Ball) -> bool:
    """Whether the error is so small that two balls that touch are two spellings of one number."""
    return bool(ball.error <= _SHARP * max(1, abs(ball.value)))


def compare_precisely(a: Node, b: Node) -> Comparison:
    """Evaluate both at many points: equal when they agree to fifty digits wherever both are real."""
    constant = not (a.symbols() or b.symbols())
    agreeing: list[bool] = []
    for point in _POINTS[:1] if constant else _POINTS:
        x, y = ball_at(a, point, PRECISE), ball_at(b, point, PRECISE)
        if x is None or y is None:
            continue
        is_real = constant or (x.is_real and y.is_real)
        if not x.touches(y):
            if is_real:
                return DIFFERENT
        elif not (_is_sharp(x) and _is_sharp(y)):
            return unknown("too close to tell")
        else:
            agreeing.append(is_real)
        if sum(agreeing) >= _ENOUGH_AGREEING:
            return EQUAL
    if constant:
        return EQUAL if agreeing else unknown("no value")
    if sum(agreeing) >= _MIN_AGREEING or len(agreeing) == len(_POINTS):
        return EQUAL
    return unknown("no real values to compare")


def proportional_precisely(a: Node, b: Node) -> Comparison:
    """Whether a / b is one constant, not 0, at every point where both are real."""
    balls = [(ball_at(a, point, PRECISE), ball_at(b, point, PRECISE)) for point in _POINTS]
    real = [(x, y) for x, y in balls if x is not None and y is not None and x.is_real and y.is_real]
    if len(real) < _MIN_AGREEING or any(abs(ball.value) <= _SHARP for pair in real for ball in pair):
        return unknown("no real values to compare")
    ratios = [x.value / y.value for x, y in real]
    spread = max(abs(ratio - ratios[0]) for ratio in ratios)
    return EQUAL if spread <= _SHARP * abs(ratios[0]) else DIFFERENT
