"""Complex numbers with a bound of their rounding error, to machine precision here, to many digits in the worker.

Two values whose balls do not touch are different for certain; balls that touch prove nothing by themselves.
"""

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType

from metamath_ray.grading.evaluate import Field, Unsupported, evaluate
from metamath_ray.grading.functions import Value, value_of
from metamath_ray.grading.limits import MAX_EXPONENT
from metamath_ray.grading.samples import sample, whole_samples
from metamath_ray.grading.tree import Node

FAILURES = (Unsupported, ValueError, OverflowError, ZeroDivisionError, TypeError, RecursionError)
"""What the evaluation of a meaningless or too large expression raises."""

_SAFETY = 8
_EXACT_WHOLE = 2**50


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A kind of floating number.

    Attributes:
        library: A module with the functions of `cmath`.
        make: Turns an exact value into a number.
        epsilon: Relative rounding error of one operation.
        max_log: Largest natural logarithm of a magnitude.
    """

    library: ModuleType
    make: Callable[[Fraction], Value]
    epsilon: float
    max_log: float


MACHINE = Arithmetic(library=cmath, make=complex, epsilon=2.0**-52, max_log=300.0)


@dataclass(frozen=True, slots=True)
class Ball:
    """A value, a bound of its error, and whether every value on the way to it was real."""

    value: Value
    error: Value
    stayed_real: bool = True

    def touches(self, other: "Ball") -> bool:
        """Whether the two may be the same number."""
        return bool(abs(self.value - other.value) <= _SAFETY * (self.error + other.error))

    @property
    def is_real(self) -> bool:
        """Whether the value may be a real number, and no complex one was met on the way to it."""
        return self.stayed_real and bool(abs(self.value.imag) <= _SAFETY * self.error)


class Balls(Field[Ball]):
    """Balls at one point."""

    def __init__(self, point: int, arithmetic: Arithmetic) -> None:
        super().__init__()
        self._point = point
        self._arithmetic = arithmetic
        self.stayed_real = True

    def _ball(self, value: Value, error: Value) -> Ball:
        """Return a ball with the rounding error of the last operation added."""
        size = abs(value)
        if size and not abs(self._log(size)) < self._arithmetic.max_log:
            raise Unsupported("too large or too small")
        if abs(value.imag) > _SAFETY * (error + self._arithmetic.epsilon * size):
            self.stayed_real = False
        return Ball(value, error + self._arithmetic.epsilon * size)

    def _log(self, size: Value) -> Value:
        return math.log(size) if self._arithmetic is MACHINE else self._arithmetic.library.log(size)

    def rational(self, value: Fraction) -> Ball:
        """Return the nearest number; a small whole number has no error."""
        if value.denominator == 1 and abs(value.numerator) < _EXACT_WHOLE:
            return Ball(self._arithmetic.make(value), 0.0)
        return self._ball(self._arithmetic.make(value), 0)

    def symbol(self, name: str) -> Ball:
        """Return a constant, or the value of a symbol at this point."""
        if name == "oo" or name.startswith("set of"):
            raise Unsupported(name)
        if name == "i":
            return self._ball(self._arithmetic.make(Fraction(1)) * 1j, 0)
        if name in ("pi", "e"):
            return self._ball(self._arithmetic.make(Fraction(1)) * getattr(self._arithmetic.library, name), 0)
        return self.rational(sample(name, self._point))

    def add(self, a: Ball, b: Ball) -> Ball:
        """Return a + b."""
        return self._ball(a.value + b.value, a.error + b.error)

    def mul(self, a: Ball, b: Ball) -> Ball:
        """Return a · b."""
        return self._ball(a.value * b.value, abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error)

    def div(self, a: Ball, b: Ball) -> Ball:
        """Return a / b, unless b may be zero."""
        room = abs(b.value) - _SAFETY * b.error
        if not room > 0:
            raise Unsupported("the denominator may be zero")
        value = a.value / b.value
        return self._ball(value, (a.error + abs(value) * b.error) / room)

    def integer_power(self, base: Ball, exponent: int) -> Ball:
        """Return base to an integer power."""
        if abs(exponent) > MAX_EXPONENT:
            return self.power(base, self.rational(Fraction(exponent)))
        room = abs(base.value) - _SAFETY * base.error
        if not room > 0:
            if exponent <= 0:
                raise Unsupported("zero to no positive power")
            return Ball(base.value**exponent, (abs(base.value) + base.error) ** exponent)
        if abs(exponent * self._log(abs(base.value))) > self._arithmetic.max_log:
            raise Unsupported("too large")
        value = base.value**exponent
        return self._ball(value, abs(exponent * value) * (base.error / room + self._arithmetic.epsilon))

    def power(self, base: Ball, exponent: Ball) -> Ball:
        """Return the principal power."""
        if base.touches(Ball(base.value * 0, 0)):
            raise Unsupported("power of zero")
        return self.call("exp", [self.mul(exponent, self.call("ln", [base]))])

    def root(self, degree: int, value: Ball) -> Ball:
        """Return the principal root, the real one of a real number where the degree is odd."""
        number = value.value
        room = abs(number) - _SAFETY * value.error
        if not room > 0:
            return Ball(number * 0, (abs(number) + value.error) ** (self._arithmetic.make(Fraction(1, degree)).real))
        negative = degree % 2 == 1 and number.imag == 0 and number.real < 0
        exponent = self._arithmetic.make(Fraction(1, degree))
        root = -((-number) ** exponent) if negative else self._square_root(number) if degree == 2 else number**exponent
        return self._ball(root, abs(root) * value.error / (degree * room))

    def _square_root(self, number: Value) -> Value:
        return self._arithmetic.library.sqrt(number)

    def call(self, name: str, args: list[Ball]) -> Ball:
        """Return the value of a function; its error is seen by moving the arguments by theirs."""
        if name.startswith("apply "):
            digits = ",".join(f"{complex(arg.value):.9g}" for arg in args)
            return self.rational(sample(f"{name}({digits})", self._point))
        values = [arg.value for arg in args]
        value = value_of(name, values, self._arithmetic.library)
        error = self._arithmetic.epsilon * abs(value)
        for place, arg in enumerate(args):
            moved = [*values[:place], arg.value + _SAFETY * arg.error, *values[place + 1 :]]
            error += abs(value_of(name, moved, self._arithmetic.library) - value)
        if name == "exp" and args[0].error > 1e-3:
            raise Unsupported("exponent too uncertain")
        return self._ball(value, error)


def ball_at(node: Node, point: int, arithmetic: Arithmetic = MACHINE) -> Ball | None:
    """Evaluate a scalar at a point; None where it has no value there."""
    field = Balls(point, arithmetic)
    field.index = whole_samples(node, point)
    try:
        ball = evaluate(node, field)
        return Ball(ball.value, ball.error, field.stayed_real)
    except FAILURES:
        return None
