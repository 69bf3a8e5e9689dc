"""Values to sixty digits, in the algebra worker only: what floating numbers could not tell apart."""

from fractions import Fraction
from typing import Any

import mpmath

from metamath_ray.grading.evaluate import Field, Unsupported, evaluate
from metamath_ray.grading.floats import call_function, sample, whole_samples
from metamath_ray.grading.limits import MAX_EXPONENT
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node

DIGITS = 80
_SAME, _APART = mpmath.mpf(10) ** -55, mpmath.mpf(10) ** -30
_POINTS = range(16)
_MIN_AGREEING = 3
_MAX_LOG = 10**6


class Precise(Field[Any]):
    """Complex numbers of `DIGITS` digits at one point."""

    def __init__(self, point: int) -> None:
        super().__init__()
        self._point = point
        self.largest = mpmath.mpf(0)

    def _seen(self, value: Any) -> Any:  # noqa: ANN401
        size = abs(value)
        if not mpmath.isfinite(value) or (size and abs(mpmath.log(size)) > _MAX_LOG):
            raise Unsupported("overflow")
        self.largest = max(self.largest, size)
        return value

    def rational(self, value: Fraction) -> Any:  # noqa: ANN401
        """Return the literal to `DIGITS` digits."""
        return self._seen(mpmath.mpf(value.numerator) / value.denominator)

    def symbol(self, name: str) -> Any:  # noqa: ANN401
        """Return a constant, or the value of a symbol at this point."""
        if name == "oo" or name.startswith("set of"):
            raise Unsupported(name)
        constants = {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}
        return +constants[name] if name in constants else self.rational(sample(name, self._point))

    def add(self, a: Any, b: Any) -> Any:  # noqa: ANN401
        """Return a + b."""
        return self._seen(a + b)

    def mul(self, a: Any, b: Any) -> Any:  # noqa: ANN401
        """Return a · b."""
        return self._seen(a * b)

    def div(self, a: Any, b: Any) -> Any:  # noqa: ANN401
        """Return a / b, unless b may be nothing but rounding error."""
        if abs(b) <= _SAME * self.largest:
            raise Unsupported("division by zero")
        return self._seen(a / b)

    def integer_power(self, base: Any, exponent: int) -> Any:  # noqa: ANN401
        """Return base to an integer power."""
        if base == 0 and exponent <= 0:
            raise Unsupported("zero to no positive power")
        if abs(exponent) > MAX_EXPONENT:
            return self.power(base, mpmath.mpf(exponent))
        return self._seen(base**exponent)

    def power(self, base: Any, exponent: Any) -> Any:  # noqa: ANN401
        """Return the principal power."""
        if base == 0 or abs(exponent * mpmath.log(base)) > _MAX_LOG:
            raise Unsupported("power")
        return self._seen(mpmath.exp(exponent * mpmath.log(base)))

    def root(self, degree: int, value: Any) -> Any:  # noqa: ANN401
        """Return the principal root, the real one of a real number where the degree is odd."""
        if degree % 2 == 1 and mpmath.im(value) == 0 and mpmath.re(value) < 0:
            return -mpmath.root(-mpmath.re(value), degree)
        return self._seen(mpmath.sqrt(value) if degree == 2 else mpmath.root(value, degree))

    def call(self, name: str, args: list[Any]) -> Any:  # noqa: ANN401
        """Return the value of a function."""
        if name.startswith("apply "):
            return self.rational(sample(f"{name} {mpmath.nstr(args[0], 40)}", self._point))
        if name == "factorial" and abs(args[0]) < 10**6:
            return self._seen(mpmath.gamma(args[0] + 1))
        if name == "binom" and max(abs(arg) for arg in args) < 10**6:
            return self._seen(mpmath.binomial(*args))
        if any(abs(arg) > 10**9 for arg in args) and name != "abs":
            raise Unsupported("argument too large")
        return self._seen(call_function(name, args, mpmath))


def _value(node: Node, point: int) -> tuple[Any, Any] | None:
    field = Precise(point)
    field.index = whole_samples(node, point)
    try:
        value = evaluate(node, field)
    except (Unsupported, ValueError, OverflowError, ZeroDivisionError, TypeError, RecursionError, mpmath.libmp.NoConvergence):
        return None
    return value, field.largest


def _is_real(value: Any) -> bool:  # noqa: ANN401
    return bool(abs(mpmath.im(value)) <= _SAME * abs(value))


def compare_precisely(a: Node, b: Node) -> Comparison:
    """Evaluate both at many points: equal when they agree to fifty digits wherever both are real."""
    constant = not (a.symbols() or b.symbols())
    agreeing: list[bool] = []
    for point in _POINTS[:1] if constant else _POINTS:
        first, second = _value(a, point), _value(b, point)
        if first is None or second is None:
            continue
        (x, size_x), (y, size_y) = first, second
        scale = max(size_x, size_y, abs(x), abs(y))
        real = constant or (_is_real(x) and _is_real(y))
        if abs(x - y) > _APART * scale:
            if real:
                return DIFFERENT
            continue
        if abs(x - y) > _SAME * scale:
            return unknown("too close to tell")
        agreeing.append(real)
    if constant:
        return EQUAL if agreeing else unknown("no value")
    if sum(agreeing) >= _MIN_AGREEING or len(agreeing) == len(_POINTS):
        return EQUAL
    return unknown("no real values to compare")


def proportional_precisely(a: Node, b: Node) -> Comparison:
    """Whether a / b is one constant, not 0, at every point where both are real."""
    ratios = []
    for point in _POINTS:
        first, second = _value(a, point), _value(b, point)
        if first is None or second is None or not (_is_real(first[0]) and _is_real(second[0])):
            continue
        if first[0] == 0 or second[0] == 0:
            return unknown("zero")
        ratios.append(mpmath.re(first[0]) / mpmath.re(second[0]))
    if len(ratios) < _MIN_AGREEING:
        return unknown("no real values to compare")
    spread = max(abs(ratio - ratios[0]) for ratio in ratios)
    if spread <= _SAME * abs(ratios[0]):
        return EQUAL
    return DIFFERENT if spread > _APART * abs(ratios[0]) else unknown("too close to tell")
