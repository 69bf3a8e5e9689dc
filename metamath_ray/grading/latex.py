"""LaTeX that our own parser does not know, through latex2sympy2_extended; in the algebra worker only."""

from typing import Any

from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown

_MAX_CHARS = 400
_MAX_BRACKETS = 60
_DIGITS = 40
_NUM_POINTS = 3


def load() -> None:
    """Import the library ahead of need."""
    from latex2sympy2_extended import latex2sympy

    latex2sympy("1")


def compare_latex(a: str, b: str) -> Comparison:
    """Compare two pieces of LaTeX; anything that the library cannot read or that has no value is unknown."""
    if max(len(a), len(b)) > _MAX_CHARS or max(map(_num_brackets, (a, b))) > _MAX_BRACKETS:
        return unknown("too long")
    first, second = _parse(a), _parse(b)
    if first is None or second is None:
        return unknown("not understood")
    if first == second:
        return EQUAL
    return _compare_values(first, second)


def _num_brackets(text: str) -> int:
    return sum(text.count(bracket) for bracket in "([{")


def _parse(text: str) -> Any:  # noqa: ANN401
    """Return what the library reads, None where it fails; it fails with exceptions of many kinds."""
    from latex2sympy2_extended import latex2sympy

    try:
        return latex2sympy(text)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return None


def _compare_values(a: Any, b: Any) -> Comparison:  # noqa: ANN401
    """Compare two expressions by their values at rational points."""
    import sympy

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
