"""Evaluation of nodes in worlds that cannot blow up: capped rationals here; `residues` and `balls` are the others."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Generic, TypeVar

from metamath_ray.grading.clock import is_over
from metamath_ray.grading.limits import MAX_EXACT_BITS, MAX_EXPONENT, MAX_STEPS
from metamath_ray.grading.tree import Node

T = TypeVar("T")


class Unsupported(Exception):
    """The value does not exist in this world, or is too large for it."""


class Field(ABC, Generic[T]):
    """The operations of one world; `index` holds the values of the running indices of sums."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self._steps = 0

    def step(self) -> None:
        """Count one operation.

        Raises:
            Unsupported: The budget of operations is spent.
        """
        self._steps += 1
        if self._steps > MAX_STEPS or (self._steps % 256 == 0 and is_over()):
            raise Unsupported("too many operations")

    @abstractmethod
    def rational(self, value: Fraction) -> T:
        """Return the value of a literal."""

    def symbol(self, name: str) -> T:
        """Return the value that stands for a free symbol or a constant."""
        raise Unsupported(name)

    @abstractmethod
    def add(self, a: T, b: T) -> T:
        """Return a + b."""

    @abstractmethod
    def mul(self, a: T, b: T) -> T:
        """Return a · b."""

    @abstractmethod
    def div(self, a: T, b: T) -> T:
        """Return a / b."""

    @abstractmethod
    def integer_power(self, base: T, exponent: int) -> T:
        """Return base to an integer power."""

    def power(self, base: T, exponent: T) -> T:
        """Return base to any other power."""
        raise Unsupported("power")

    def root(self, degree: int, value: T) -> T:
        """Return the principal root, the real one of a real number where the degree is odd."""
        raise Unsupported("root")

    def rational_root(self, degree: int, value: Fraction) -> T:
        """Return the same root of a rational number."""
        return self.root(degree, self.rational(value))

    def call(self, name: str, args: list[T]) -> T:
        """Return the value of a named function."""
        raise Unsupported(name)


def evaluate(node: Node, field: Field[T]) -> T:  # noqa: PLR0911, PLR0912 (one case for each head)
    """Evaluate a scalar node in a world.

    Raises:
        Unsupported: Some part has no value there.
    """
    field.step()
    match node.head:
        case "number":
            return field.rational(literal(node.text))
        case "symbol":
            return (
                field.rational(Fraction(field.index[node.text]))
                if node.text in field.index
                else field.symbol(node.text)
            )
        case "add":
            return reduce(field.add, [evaluate(arg, field) for arg in node.args])
        case "neg":
            return field.mul(field.rational(Fraction(-1)), evaluate(node.args[0], field))
        case "mul":
            return field.mul(evaluate(node.args[0], field), evaluate(node.args[1], field))
        case "div":
            return field.div(evaluate(node.args[0], field), evaluate(node.args[1], field))
        case "pow":
            return _power(node, field)
        case "based":
            whole, _, part = node.args[0].text.partition(".")
            return field.rational(Fraction(int(whole + part, int(node.text)), int(node.text) ** len(part)))
        case "degree":
            return evaluate(node.args[0], field)
        case "big":
            return _big(node, field)
        case "indexed":
            return field.symbol(f"{node.text}[{_integer(node.args[0], field)}]")
        case "root":
            degree, radicand = node.args
            if not degree.symbols():
                return _root(_integer(degree, field), radicand, field)
            exponent = field.div(field.rational(Fraction(1)), evaluate(degree, field))
            return field.power(evaluate(radicand, field), exponent)
        case "abs" | "factorial" | "binom" | "log" | "mod":
            return field.call(node.head, [evaluate(arg, field) for arg in node.args])
        case "call":
            return _call(node, field)
    raise Unsupported(node.head)


def literal(text: str) -> Fraction:
    """Return the exact value of a literal."""
    mantissa, _, power = text.lower().partition("e")
    if power and abs(int(power)) > MAX_EXPONENT:
        raise Unsupported("exponent")
    return Fraction(mantissa) * Fraction(10) ** int(power) if power else Fraction(mantissa)


def _power(node: Node, field: Field[T]) -> T:
    base, exponent = node.args
    value = rational_value(exponent, field.index)
    if value is None:
        return field.power(evaluate(base, field), evaluate(exponent, field))
    root = evaluate(base, field) if value.denominator == 1 else _root(value.denominator, base, field)
    return field.integer_power(root, value.numerator)


def _root(degree: int, node: Node, field: Field[T]) -> T:
    if degree < 1:
        raise Unsupported("root")
    value = rational_value(node, field.index)
    return field.root(degree, evaluate(node, field)) if value is None else field.rational_root(degree, value)


def _integer(node: Node, field: Field[T]) -> int:
    value = rational_value(node, field.index)
    if value is None or value.denominator != 1:
        raise Unsupported("an integer is needed")
    return value.numerator


def _big(node: Node, field: Field[T]) -> T:
    """Add or multiply up a finite sum or product."""
    body, index, lower, upper = node.args
    first, last = _integer(lower, field), _integer(upper, field)
    if last - first > MAX_STEPS:
        raise Unsupported("range")
    total = field.rational(Fraction(0 if node.text == "sum" else 1))
    join: Callable[[T, T], T] = field.add if node.text == "sum" else field.mul
    outer = field.index
    for value in range(first, last + 1):
        field.index = outer | {index.text: value}
        total = join(total, evaluate(body, field))
    field.index = outer
    return total


_TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc", "cis"))


def _call(node: Node, field: Field[T]) -> T:
    if node.text == "sqrt" and len(node.args) == 1:
        return _root(2, node.args[0], field)
    args = [evaluate(arg, field) for arg in node.args]
    if node.text in _TRIGONOMETRIC and node.args[0].has("degree"):
        args = [field.div(field.mul(args[0], field.symbol("pi")), field.rational(Fraction(180)))]
    if len(args) == 1 and len(node.text.rstrip("'")) == 1:
        return field.call("apply " + node.text, args)
    return field.call(node.text, args)


class Exact(Field[Fraction]):
    """Rational numbers of bounded size."""

    def rational(self, value: Fraction) -> Fraction:
        """Return the literal itself."""
        return value

    def add(self, a: Fraction, b: Fraction) -> Fraction:
        """Return a + b."""
        return _capped(a + b)

    def mul(self, a: Fraction, b: Fraction) -> Fraction:
        """Return a · b."""
        return _capped(a * b)

    def div(self, a: Fraction, b: Fraction) -> Fraction:
        """Return a / b."""
        if b == 0:
            raise Unsupported("division by zero")
        return _capped(a / b)

    def integer_power(self, base: Fraction, exponent: int) -> Fraction:
        """Return base to an integer power, unless the result would be large."""
        if abs(base) in (0, 1):
            if base == 0 and exponent <= 0:
                raise Unsupported("zero to no positive power")
            return base**2 if exponent % 2 == 0 else base
        if _bits(base) * abs(exponent) > MAX_EXACT_BITS:
            raise Unsupported("too large")
        return base**exponent

    def root(self, degree: int, value: Fraction) -> Fraction:
        """Return a root that is rational."""
        if not 2 <= degree <= 64 or (value < 0 and degree % 2 == 0):
            raise Unsupported("root")
        root = Fraction(_integer_root(abs(value.numerator), degree), _integer_root(value.denominator, degree))
        return root if value >= 0 else -root

    def call(self, name: str, args: list[Fraction]) -> Fraction:  # noqa: PLR0911
        """Return the value of a function on rational numbers."""
        match name, args:
            case "abs", [value]:
                return abs(value)
            case (("floor" | "ceil" | "ceiling"), [value]):
                return Fraction(math.floor(value) if name == "floor" else math.ceil(value))
            case (("max" | "min"), [_, *_]):
                return max(args) if name == "max" else min(args)
            case "mod", [value, modulus] if modulus != 0:
                return value % modulus
            case (("gcd" | "lcm"), [_, *_]) if all(arg.denominator == 1 for arg in args):
                integers = [arg.numerator for arg in args]
                return _capped(Fraction(math.gcd(*integers) if name == "gcd" else math.lcm(*integers)))
            case "factorial", [value] if value.denominator == 1 and 0 <= value <= _MAX_FACTORIAL:
                return Fraction(math.factorial(value.numerator))
            case "binom", [n, k] if n.denominator == k.denominator == 1 and n >= 0 and k >= 0:
                return _binomial(n.numerator, k.numerator)
        raise Unsupported(name)


_MAX_FACTORIAL = 5_000


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _capped(value: Fraction) -> Fraction:
    if _bits(value) > MAX_EXACT_BITS:
        raise Unsupported("too large")
    return value


def _binomial(n: int, k: int) -> Fraction:
    if min(k, n - k) * max(n, 1).bit_length() > MAX_EXACT_BITS:
        raise Unsupported("too large")
    return Fraction(math.comb(n, k))


def _integer_root(value: int, degree: int) -> int:
    """Return the exact integer root; raise `Unsupported` where there is none."""
    if degree == 2:
        root = math.isqrt(value)
    else:
        low, high = 0, 1 << (value.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
        root = low
    if root**degree != value:
        raise Unsupported("irrational")
    return root


def rational_value(node: Node, index: dict[str, int] | None = None) -> Fraction | None:
    """Return the exact value of a rational constant, None where it is none or too large."""
    field = Exact()
    field.index = index or {}
    try:
        return evaluate(node, field)
    except (Unsupported, ZeroDivisionError, ValueError, OverflowError):
        return None
