"""Named functions on floating numbers, for any module with the functions of `cmath`."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

from metamath_ray.grading.evaluate import Unsupported

Value: TypeAlias = Any
"""A complex number of `cmath` or of `mpmath`."""

_MAX_ARGUMENT = 1e9
_MAX_FACTORIAL = 100_000


def _real(value: Value) -> Value:
    """Return a real value; floor and the like have none of others."""
    if abs(value.imag) > 1e-12 * abs(value):
        raise Unsupported("not real")
    return value.real


def _factorial(library: ModuleType, x: Value) -> Value:
    if abs(x) > _MAX_FACTORIAL:
        raise Unsupported("factorial")
    return library.gamma(x + 1) if hasattr(library, "gamma") else math.gamma(_real(x) + 1)


def _binomial(library: ModuleType, n: Value, k: Value) -> Value:
    return _factorial(library, n) / (_factorial(library, k) * _factorial(library, n - k))


def _floor(value: Value) -> int:
    real = _real(value)
    nearest = round(float(real))
    if abs(real - nearest) < 1e-9:
        raise Unsupported("too close to a whole number")
    floor: int = math.floor(real)
    return floor


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda lib, x: abs(x),
    "exp": lambda lib, x: lib.exp(x),
    "ln": lambda lib, x: lib.log(x),
    "log": lambda lib, *args: lib.log(args[1]) / lib.log(args[0]) if len(args) == 2 else lib.log(args[0]),
    "cot": lambda lib, x: lib.cos(x) / lib.sin(x),
    "sec": lambda lib, x: 1 / lib.cos(x),
    "csc": lambda lib, x: 1 / lib.sin(x),
    "coth": lambda lib, x: lib.cosh(x) / lib.sinh(x),
    "sech": lambda lib, x: 1 / lib.cosh(x),
    "csch": lambda lib, x: 1 / lib.sinh(x),
    "cis": lambda lib, x: lib.exp(1j * x),
    "arccot": lambda lib, x: lib.atan(1 / x),
    "arcsec": lambda lib, x: lib.acos(1 / x),
    "arccsc": lambda lib, x: lib.asin(1 / x),
    "Re": lambda lib, x: x.real,
    "Im": lambda lib, x: x.imag,
    "conjugate": lambda lib, x: x.conjugate(),
    "floor": lambda lib, x: _floor(x),
    "ceil": lambda lib, x: _floor(x) + 1,
    "ceiling": lambda lib, x: _floor(x) + 1,
    "mod": lambda lib, x, y: x - y * _floor(x / y),
    "max": lambda lib, *args: max(map(_real, args)),
    "min": lambda lib, *args: min(map(_real, args)),
    "factorial": _factorial,
    "binom": _binomial,
}
_DIRECT = frozenset(["sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh"])


def value_of(name: str, args: list[Value], library: ModuleType) -> Value:
    """Return the value of a named function.

    Raises:
        Unsupported: There is no such function, or an argument is beyond its bounds.
    """
    if name != "abs" and any(abs(arg) > _MAX_ARGUMENT for arg in args) and name not in ("ln", "log", "exp"):
        raise Unsupported("argument too large")
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](library, *args)
    for prefix, direct in (("", name), ("arc", "a" + name[3:]), ("ar", "a" + name[2:])):
        if name.startswith(prefix) and direct in _DIRECT:
            return getattr(library, direct)(*args)
    raise Unsupported(name)
