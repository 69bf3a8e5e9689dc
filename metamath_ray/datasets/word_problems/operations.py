"""What one sentence does to the running value: forward, backward, and solved for one of its numbers.

Each operation takes the value ``before`` it and its own numbers to the value ``after`` it. Its equations come in two
groups: side equations, which need the sentence's numbers only, and main equations, which need the running value.
"""

from fractions import Fraction
from typing import NamedTuple

from metamath_ray.datasets.word_problems.equations import Equation

OPERATIONS: dict[str, str] = {
    "literal": "set",
    "product": "set_product",
    "sum": "set_sum",
    "rel_add": "add",
    "rel_sub": "sub",
    "rel_times": "mul",
    "rel_fraction": "part",
    "future": "add",
    "past": "sub",
    "divide": "div",
    "afford": "div",
    "pack": "div",
    "hours": "div",
    "gas": "div",
    "price": "mul",
}
"""Kinds of sentence whose operation has another name than the kind."""

HUNDRED = Fraction(100)
PERCENT_AS_DIVISOR = {Fraction(p): Fraction(100, p) for p in (10, 20, 25, 50)}
WORDED_FACTORS = {"double": Fraction(2), "triple": Fraction(3)}

Numbers = tuple[Fraction, ...]


class Work(NamedTuple):
    """The equations of one sentence, in the order in which they can be written."""

    side: tuple[Equation, ...] = ()
    main: tuple[Equation, ...] = ()

    @property
    def all(self) -> tuple[Equation, ...]:
        """Side equations, then main equations."""
        return self.side + self.main

    @property
    def result(self) -> Fraction:
        """The value of the last equation."""
        return self.all[-1].result


def operation_of(kind: str) -> str:
    """The arithmetic operation that a kind of sentence stands for."""
    return OPERATIONS.get(kind, kind)


def forward(  # noqa: PLR0911, PLR0912  (one case an operation)
    kind: str, before: Fraction, numbers: Numbers, alternative: bool = False
) -> Work:
    """Equations from the value before a sentence to the value after it.

    Args:
        kind: kind of sentence.
        before: running value; unused where the sentence starts a problem.
        numbers: the sentence's own numbers.
        alternative: take the second way where the operation has one.
    """
    match operation_of(kind), numbers:
        case "set", _:
            return Work()
        case "set_product", (a, b):
            return Work(main=(Equation(b, "*", a) if alternative else Equation(a, "*", b),))
        case "set_sum", (a, b):
            return Work(main=(Equation(b, "+", a) if alternative else Equation(a, "+", b),))
        case "add", (a,):
            return Work(main=(Equation(a, "+", before) if alternative else Equation(before, "+", a),))
        case "sub", (a,):
            return Work(main=(Equation(before, "-", a),))
        case "mul", (a,):
            return Work(main=(Equation(before, "*", a),))
        case (("double" | "triple"), ()):
            return _multiple(before, WORDED_FACTORS[kind], alternative)
        case "div", (a,):
            return Work(main=(Equation(before, "/", a),))
        case ("add_product" | "sub_product") as name, (a, b):
            side = Equation(b, "*", a) if alternative else Equation(a, "*", b)
            return Work((side,), (Equation(before, "+" if name == "add_product" else "-", side.result),))
        case "part", (a,):
            return Work(main=_part(before, a))
        case "lose_fraction", (a,):
            return _lose_fraction(before, a, alternative)
        case ("lose_percent" | "gain_percent") as name, (a,):
            return _change_percent(before, a, "-" if name == "lose_percent" else "+", alternative)
        case "target", (a,):
            return Work(main=(Equation(a, "-", before),))
        case "together_times", (a,):
            return _together_times(before, a, alternative)
        case "together_more", (a,):
            other = Equation(before, "+", a)
            return Work(main=(other, Equation(before, "+", other.result)))
    raise AssertionError(f"no operation {kind} with {len(numbers)} numbers")


def _multiple(before: Fraction, factor: Fraction, alternative: bool) -> Work:
    if alternative and factor == 2:
        return Work(main=(Equation(before, "+", before),))
    return Work(main=(Equation(before, "*", factor),))


def _part(whole: Fraction, fraction: Fraction) -> tuple[Equation, ...]:
    one = Equation(whole, "/", Fraction(fraction.denominator))
    return (one,) if fraction.numerator == 1 else (one, Equation(one.result, "*", Fraction(fraction.numerator)))


def _lose_fraction(before: Fraction, fraction: Fraction, alternative: bool) -> Work:
    if alternative:
        return Work(main=_part(before, 1 - fraction))
    lost = _part(before, fraction)
    return Work(main=(*lost, Equation(before, "-", lost[-1].result)))


def _change_percent(before: Fraction, percent: Fraction, sign: str, alternative: bool) -> Work:
    hundredfold = Equation(before, "*", percent)
    part: tuple[Equation, ...] = (hundredfold, Equation(hundredfold.result, "/", HUNDRED))
    if percent in PERCENT_AS_DIVISOR and not alternative:
        part = (Equation(before, "/", PERCENT_AS_DIVISOR[percent]),)
    return Work(main=(*part, Equation(before, sign, part[-1].result)))


def _together_times(before: Fraction, factor: Fraction, alternative: bool) -> Work:
    if alternative:
        shares = Equation(factor, "+", Fraction(1))
        return Work((shares,), (Equation(before, "*", shares.result),))
    other = Equation(before, "*", factor)
    return Work(main=(other, Equation(before, "+", other.result)))


def inverse(kind: str, after: Fraction, numbers: Numbers) -> Work:  # noqa: PLR0911  (one case an operation)
    """Equations from the value after a sentence back to the value before it."""
    match operation_of(kind), numbers:
        case "add", (a,):
            return Work(main=(Equation(after, "-", a),))
        case "sub", (a,):
            return Work(main=(Equation(after, "+", a),))
        case "mul", (a,):
            return Work(main=(Equation(after, "/", a),))
        case (("double" | "triple"), ()):
            return Work(main=(Equation(after, "/", WORDED_FACTORS[kind]),))
        case "div", (a,):
            return Work(main=(Equation(after, "*", a),))
        case ("add_product" | "sub_product") as name, (a, b):
            side = Equation(a, "*", b)
            return Work((side,), (Equation(after, "-" if name == "add_product" else "+", side.result),))
        case "part", (a,):
            return Work(main=_part(after, 1 / a))
        case "lose_fraction", (a,):
            return Work(main=_whole(after, 1 - a))
        case ("lose_percent" | "gain_percent") as name, (a,):
            rate = Equation(HUNDRED, "-" if name == "lose_percent" else "+", a)
            hundredfold = Equation(after, "*", HUNDRED)
            return Work((rate,), (hundredfold, Equation(hundredfold.result, "/", rate.result)))
        case "target", (a,):
            return Work(main=(Equation(a, "-", after),))
        case "together_times", (a,):
            shares = Equation(a, "+", Fraction(1))
            return Work((shares,), (Equation(after, "/", shares.result),))
        case "together_more", (a,):
            twice = Equation(after, "-", a)
            return Work(main=(twice, Equation(twice.result, "/", Fraction(2))))
    raise AssertionError(f"no inverse of {kind} with {len(numbers)} numbers")


def _whole(part: Fraction, fraction: Fraction) -> tuple[Equation, ...]:
    if fraction.numerator == 1:
        return (Equation(part, "*", Fraction(fraction.denominator)),)
    one = Equation(part, "/", Fraction(fraction.numerator))
    return (one, Equation(one.result, "*", Fraction(fraction.denominator)))


def solve_for(  # noqa: PLR0911, PLR0912  (one case an operation)
    kind: str, before: Fraction, after: Fraction, numbers: Numbers, index: int
) -> tuple[Equation, ...]:
    """Equations that give ``numbers[index]`` out of the values around a sentence and its other number.

    For a fraction ``1/k`` the last equation gives ``k``.
    """
    other = numbers[1 - index] if len(numbers) == 2 else Fraction(1)
    match operation_of(kind):
        case "set":
            return ()
        case "set_product":
            return (Equation(after, "/", other),)
        case "set_sum":
            return (Equation(after, "-", other),)
        case "add":
            return (Equation(after, "-", before),)
        case "sub":
            return (Equation(before, "-", after),)
        case "mul":
            return (Equation(after, "/", before),)
        case "div" | "part":
            return (Equation(before, "/", after),)
        case ("add_product" | "sub_product") as name:
            side = Equation(after, "-", before) if name == "add_product" else Equation(before, "-", after)
            return (side, Equation(side.result, "/", other))
        case "lose_fraction":
            part = Equation(before, "-", after)
            return (part, Equation(before, "/", part.result))
        case ("lose_percent" | "gain_percent") as name:
            part = Equation(before, "-", after) if name == "lose_percent" else Equation(after, "-", before)
            hundredfold = Equation(part.result, "*", HUNDRED)
            return (part, hundredfold, Equation(hundredfold.result, "/", before))
        case "target":
            return (Equation(after, "+", before),)
        case "together_times":
            second = Equation(after, "-", before)
            return (second, Equation(second.result, "/", before))
        case "together_more":
            second = Equation(after, "-", before)
            return (second, Equation(second.result, "-", before))
    raise AssertionError(f"{kind} has no number to solve for")
