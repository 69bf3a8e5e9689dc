"""Equality without algebra: a prime field in which expressions are evaluated at random points.

Two rational functions over Q(i, sqrt 2, sqrt 3, …) that agree there at random points are equal but for one chance in
10^18 (Schwartz 1980, Zippel 1979), and two that do not agree are different for certain. The cost does not depend on the
size of the numbers.
"""

import math
from fractions import Fraction
from functools import lru_cache, reduce

from metamath_ray.grading.evaluate import Exact, Field, Unsupported, evaluate
from metamath_ray.grading.samples import random_bits
from metamath_ray.grading.tree import Node

PRIME = 2305843009213245121
"""A prime of 61 bits, 1 modulo 8, in which -1 and every prime up to 43 have square roots."""


class Residues(Field[int]):
    """The prime field, at one random point."""

    def __init__(self, point: int) -> None:
        super().__init__()
        self._point = point

    def rational(self, value: Fraction) -> int:
        """Return the residue of a literal."""
        return self.div(value.numerator % PRIME, value.denominator % PRIME)

    def symbol(self, name: str) -> int:
        """Return the random residue of a symbol; pi and e are transcendental, so they may be any."""
        if name == "oo" or name.startswith("set of"):
            raise Unsupported(name)
        return _square_root(-1) if name == "i" else random_bits(name, self._point) % PRIME

    def add(self, a: int, b: int) -> int:
        """Return a + b."""
        return (a + b) % PRIME

    def mul(self, a: int, b: int) -> int:
        """Return a · b."""
        return a * b % PRIME

    def div(self, a: int, b: int) -> int:
        """Return a / b."""
        if b == 0:
            raise Unsupported("division by zero")
        return a * pow(b, -1, PRIME) % PRIME

    def integer_power(self, base: int, exponent: int) -> int:
        """Return base to an integer power."""
        if base == 0 and exponent <= 0:
            raise Unsupported("zero to no positive power")
        return pow(base, exponent, PRIME)

    def rational_root(self, degree: int, value: Fraction) -> int:
        """Return a square root, with one sign for each prime, so that products of roots agree."""
        if degree != 2:
            return self.rational(Exact().root(degree, value))
        outside, primes = _square_free(abs(value.numerator * value.denominator))
        root = reduce(self.mul, map(_square_root, primes), outside % PRIME)
        if value < 0:
            root = root * _square_root(-1) % PRIME
        return self.div(root, value.denominator % PRIME)


def residue(node: Node, point: int) -> int | None:
    """Evaluate at a random point of the prime field; None where some part has no value there."""
    try:
        return evaluate(node, Residues(point))
    except (Unsupported, ZeroDivisionError, ValueError, OverflowError, RecursionError):
        return None


def proportional_residues(a: Node, b: Node) -> bool | None:
    """Whether a / b is the same constant, not 0, at several points of the field; None where it cannot be said."""
    pairs = [(residue(a, point), residue(b, point)) for point in range(3)]
    values = [(x, y) for x, y in pairs if x is not None and y is not None]
    if len(values) < len(pairs):
        return None
    x0, y0 = values[0]
    if x0 == 0 or y0 == 0:
        return x0 == y0 and all(x == y == 0 for x, y in values)
    return all(x0 * y % PRIME == x * y0 % PRIME for x, y in values[1:])


_MAX_PRIME = 3_000


@lru_cache(maxsize=4_096)
def _square_free(value: int) -> tuple[int, tuple[int, ...]]:
    """Write a number as the square of the first result times the primes of the second.

    Raises:
        Unsupported: It does not factor over small primes.
    """
    outside, primes, divisor = 1, [], 2
    while divisor <= _MAX_PRIME and divisor * divisor <= value:
        power = 0
        while value % divisor == 0:
            value //= divisor
            power += 1
        outside *= divisor ** (power // 2)
        primes += [divisor] * (power % 2)
        divisor += 1
    root = math.isqrt(value)
    if root * root == value:
        return outside * root, tuple(primes)
    if value > _MAX_PRIME**2:
        raise Unsupported("no small factors")
    return outside, (*primes, value)


@lru_cache(maxsize=4_096)
def _square_root(value: int) -> int:
    """Return one square root in the prime field (Cipolla's algorithm).

    Raises:
        Unsupported: There is none.
    """
    value %= PRIME
    if pow(value, (PRIME - 1) // 2, PRIME) != 1:
        raise Unsupported("no root in the field")
    shift = 0
    while pow(shift * shift - value, (PRIME - 1) // 2, PRIME) != PRIME - 1:
        shift += 1
    square = (shift * shift - value) % PRIME
    result, factor, exponent = (1, 0), (shift, 1), (PRIME + 1) // 2
    while exponent:
        if exponent & 1:
            result = _extension_product(result, factor, square)
        factor = _extension_product(factor, factor, square)
        exponent >>= 1
    return result[0]


def _extension_product(a: tuple[int, int], b: tuple[int, int], square: int) -> tuple[int, int]:
    """Multiply in the quadratic extension by a root of `square`."""
    return (a[0] * b[0] + a[1] * b[1] * square) % PRIME, (a[0] * b[1] + a[1] * b[0]) % PRIME
