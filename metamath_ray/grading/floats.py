"""Floating numbers at fixed random points: they tell different expressions apart, they do not prove equality."""

import cmath
from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from typing import Any

from metamath_ray.grading.evaluate import Field, Unsupported
from metamath_ray.grading.limits import MAX_EXPONENT
from metamath_ray.grading.tree import Node


def random_bits(name: str, point: int) -> int:
    """Return 64 bits that depend on nothing but a name and the number of a point."""
    return int.from_bytes(blake2b(f"{point}:{name}".encode(), digest_size=8).digest())


class Floats(Field[complex]):
    """Complex floating numbers at one point; `largest` is the largest magnitude that was met."""

    def __init__(self, point: int) -> None:
        super().__init__()
        self._point = point
        self.largest = 0.0

    def _seen(self, value: complex) -> complex:
        size = abs(value)
        if not size < 1e150:
            raise Unsupported("overflow")
        self.largest = max(self.largest, size)
        return value

    def rational(self, value: Fraction) -> complex:
        """Return the nearest floating number."""
        return self._seen(complex(value))

    def symbol(self, name: str) -> complex:
        """Return a constant, or the value of a symbol at this point."""
        constants = {"pi": cmath.pi, "e": cmath.e, "i": 1j}
        if name == "oo" or name.startswith("set of"):
            raise Unsupported(name)
        return constants[name] if name in constants else complex(sample(name, self._point))

    def add(self, a: complex, b: complex) -> complex:
        """Return a + b."""
        return self._seen(a + b)

    def mul(self, a: complex, b: complex) -> complex:
        """Return a · b."""
        return self._seen(a * b)

    def div(self, a: complex, b: complex) -> complex:
        """Return a / b, unless b may be nothing but rounding error."""
        if abs(b) <= 1e-9 * min(self.largest, 1e6):
            raise Unsupported("ill-conditioned")
        return self._seen(a / b)

    def integer_power(self, base: complex, exponent: int) -> complex:
        """Return base to an integer power."""
        if abs(exponent) > MAX_EXPONENT or (base == 0 and exponent <= 0):
            raise Unsupported("power")
        return self._seen(base**exponent)

    def power(self, base: complex, exponent: complex) -> complex:
        """Return the principal power."""
        if base == 0:
            raise Unsupported("power of zero")
        return self._seen(cmath.exp(exponent * cmath.log(base)))

    def root(self, degree: int, value: complex) -> complex:
        """Return the principal root, the real one of a real number where the degree is odd."""
        if degree % 2 == 1 and value.imag == 0 and value.real < 0:
            return complex(-((-value.real) ** (1 / degree)))
        return self._seen(cmath.sqrt(value) if degree == 2 else value ** (1 / degree))

    def call(self, name: str, args: list[complex]) -> complex:
        """Return the value of a function."""
        if name.startswith("apply "):
            return complex(sample(f"{name} {args[0]:.9g}", self._point))
        return self._seen(call_function(name, args, cmath))



_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda lib, x: abs(x),
    "exp": lambda lib, x: lib.exp(x),
    "log": lambda lib, *args: lib.log(args[1]) / lib.log(args[0]) if len(args) == 2 else lib.log(args[0]),
    "ln": lambda lib, x: lib.log(x),
    "cot": lambda lib, x: lib.cos(x) / lib.sin(x),
    "sec": lambda lib, x: 1 / lib.cos(x),
    "csc": lambda lib, x: 1 / lib.sin(x),
    "coth": lambda lib, x: lib.cosh(x) / lib.sinh(x),
    "sech": lambda lib, x: 1 / lib.cosh(x),
    "csch": lambda lib, x: 1 / lib.sinh(x),
    "arccot": lambda lib, x: lib.atan(1 / x),
    "arcsec": lambda lib, x: lib.acos(1 / x),
    "arccsc": lambda lib, x: lib.asin(1 / x),
    "Re": lambda lib, x: x.real,
    "Im": lambda lib, x: x.imag,
    "conjugate": lambda lib, x: x.conjugate(),
}
_DIRECT = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh")
_INVERSE_PREFIXES = ("arc", "ar", "a")


WHOLE_NAMES = frozenset(("n", "k", "m", "N"))
"""Symbols that stand for whole numbers, so that they may be bounds of a sum."""


def whole_samples(node: Node, point: int) -> dict[str, int]:
    """Return the values of the whole-number symbols of a node at a point."""
    return {name: 2 + random_bits(name, point) % 11 for name in node.symbols() & WHOLE_NAMES}


def sample(name: str, point: int) -> Fraction:
    """Return the value of a symbol at a point; at every third point some are negative."""
    bits = random_bits(name, point)
    size = (Fraction(3, 10), Fraction(1), Fraction(4), Fraction(17))[point % 4]
    sign = -1 if point % 3 == 2 and bits & 1 else 1
    return sign * size * Fraction(1_000 + bits % 9_973, 10_973)


def call_function(name: str, args: list[Any], library: Any) -> Any:
    """Return the value of a named function, computed by a module with the names of `cmath`."""
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](library, *args)
    for prefix in ("", *_INVERSE_PREFIXES):
        direct = ("a" if prefix else "") + name.removeprefix(prefix)
        if direct in _DIRECT and name.startswith(prefix):
            return getattr(library, direct)(*args)
    raise Unsupported(name)
