"""Exact arithmetic as text: numbers, equations and the check that each one holds."""

import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

_OPERATORS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_EQUATION = re.compile(r"(?<![\d.])([\d.]*\d) ([-+*/]) ([\d.]*\d) = ([\d.]*\d)(?!\d)")


class Equation(NamedTuple):
    """One step of a solution, ``left operator right = result``."""

    left: Fraction
    operator: str
    right: Fraction

    @property
    def result(self) -> Fraction:
        """The exact value of the left-hand side."""
        return _OPERATORS[self.operator](self.left, self.right)

    def __str__(self) -> str:
        left, right, result = map(format_number, (self.left, self.right, self.result))
        return f"{left} {self.operator} {right} = {result}"


def format_number(value: Fraction) -> str:
    """Writes an integer or a terminating decimal plainly, anything else as a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    if is_decimal(value):
        return f"{float(value):.2f}".rstrip("0")
    return f"{value.numerator}/{value.denominator}"


def is_decimal(value: Fraction) -> bool:
    """Whether two decimal places write the value exactly."""
    return (value * 100).denominator == 1


def equations_in(text: str) -> Iterator[tuple[Equation, Fraction]]:
    """Finds the equations of a text, each with the result that the text claims."""
    for left, symbol, right, claimed in _EQUATION.findall(text):
        yield Equation(Fraction(left), symbol, Fraction(right)), Fraction(claimed)


def all_equations_hold(text: str) -> bool:
    """Whether every ``a op b = c`` of a text is true; a division by zero is not."""
    return all(
        not (equation.operator == "/" and equation.right == 0) and equation.result == claimed
        for equation, claimed in equations_in(text)
    )
