"""LaTeX that our own parser does not know, through latex2sympy2_extended; in the algebra worker only."""

import re
from typing import Any, TypeAlias

import sympy
from latex2sympy2_extended import latex2sympy

from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown

Parsed: TypeAlias = Any
"""Whatever the library makes of a text: expression, set, relation, matrix."""

_SHORT_FRACTION = re.compile(r"\\frac\s?(\d)\s?(\d)")
_DIGITS = 40
_NUM_POINTS = 3


def compare_latex(a: str, b: str) -> Comparison:
    """Compare two pieces of LaTeX; anything that the library cannot read or that has no value is unknown."""
    try:
        first, second = (latex2sympy(_SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)) for text in (a, b))
        return EQUAL if first == second else _compare_values(first, second)
    except MemoryError:
        raise
    except Exception as error:  # the library fails with exceptions of every kind
        return unknown(f"not understood: {type(error).__name__}")


def _compare_values(a: Parsed, b: Parsed) -> Comparison:
    """Compare two expressions by their values at rational points."""
    if not isinstance(a, sympy.Expr) or not isinstance(b, sympy.Expr):
        return unknown("not two expressions")
    difference = a - b
    names = sorted(difference.free_symbols, key=str)
    for point in range(_NUM_POINTS):
        values = {name: sympy.Rational(7 + 3 * place + 2 * point, 5) for place, name in enumerate(names)}
        value = difference.subs(values).doit().evalf(_DIGITS)
        if not value.is_number or value.has(sympy.nan, sympy.oo, sympy.zoo):
            return unknown("no value")
        if abs(value) > sympy.Float(10) ** -(_DIGITS // 2):
            return DIFFERENT
    return EQUAL
