"""Bare arithmetic, for pretraining alone."""

import random
from fractions import Fraction

from metamath_ray.datasets.word_problems.equations import Equation, format_number

_QUESTIONS = ["What is {}?", "Compute {}.", "{} = ?", "How much is {}?"]


def write_drill(rng: random.Random) -> tuple[str, str]:
    """Draws a question like ``What is 345 + 278?`` and its one-line solution."""
    equation = _draw(rng)
    left, symbol, right = format_number(equation.left), equation.operator, format_number(equation.right)
    question = rng.choice(_QUESTIONS).format(f"{left} {symbol} {right}")
    return question, f"{equation}\nThe answer is: {format_number(equation.result)}"


def _draw(rng: random.Random) -> Equation:
    symbol = rng.choice("++--**/")
    small, large = Fraction(rng.randint(2, 12)), Fraction(rng.randint(2, rng.choice([30, 99, 400, 999])))
    a, b = (Fraction(rng.randint(2, rng.choice([40, 99, 400, 999, 4000]))) for _ in range(2))
    match symbol:
        case "+":
            return Equation(a, "+", b)
        case "-":
            return Equation(max(a, b) + 1, "-", min(a, b))
        case "*":
            return Equation(*rng.choice([(small, "*", large), (large, "*", small)]))
        case _:
            return Equation(small * large, "/", small)
