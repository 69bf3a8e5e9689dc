"""Backward problems: one number is hidden behind x, the answer is given."""

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from metamath_ray.datasets.word_problems.equations import Equation, format_number
from metamath_ray.datasets.word_problems.operations import forward, inverse, operation_of, solve_for
from metamath_ray.datasets.word_problems.solutions import Line, in_style
from metamath_ray.datasets.word_problems.structure import Fact, WordProblem
from metamath_ray.datasets.word_problems.wordings import VARIABLE, NumberPlace, unit_of, write_question

BackwardForm = Literal["self_verification", "fobar"]


@dataclass(frozen=True, kw_only=True)
class BackwardProblem:
    """A backward question with its solution."""

    question: str
    solution: str
    answer: str
    """The hidden number."""


def maskable_places(problem: WordProblem) -> list[NumberPlace]:
    """The numbers that the answer determines; what an aside says is not among them."""
    return [
        NumberPlace(index, number)
        for index, fact in enumerate(problem.facts)
        for number, value in enumerate(fact.numbers)
        if not (operation_of(fact.kind) == "lose_fraction" and value.numerator > 1)
    ]


def write_backward(
    problem: WordProblem, place: NumberPlace, form: BackwardForm, wording_seed: int, solution_seed: int
) -> BackwardProblem:
    """Hides one number and asks for it, as self-verification or as FOBAR does (arXiv 2309.12284, section 3.3)."""
    question = write_question(problem, wording_seed, masked=place)
    if form == "fobar":
        given = f"If we know the answer to the above question is {format_number(problem.answer)},"
        text = f"{question.text} {given} what is the value of unknown variable {VARIABLE}?"
    else:
        body = " ".join(question.body)
        text = f"{body} {question.statement} What is the value of unknown variable {VARIABLE}?"
    hidden = problem.facts[place.fact].numbers[place.number]
    answer = format_hidden(problem.facts[place.fact], hidden)
    solution = in_style(_lines(problem, place), random.Random(f"backward:{solution_seed}"))
    return BackwardProblem(question=text, solution=f"{solution}\nThe value of {VARIABLE} is {answer}.", answer=answer)


def format_hidden(fact: Fact, value: Fraction) -> str:
    """A hidden number as an answer: fractions of a whole stay fractions, cents are decimals."""
    if operation_of(fact.kind) in ("part", "lose_fraction"):
        return f"{value.numerator}/{value.denominator}"
    return format_number(value)


def _lines(problem: WordProblem, place: NumberPlace) -> list[Line]:
    """Forward up to the hidden number, backward from the answer down to it, then solved for it."""
    facts = problem.facts
    masked = facts[place.fact]
    ahead = [(fact, e) for fact in facts[: place.fact] for e in forward(fact.kind, fact.before, fact.numbers).all]
    later = reversed(facts[place.fact + 1 :])
    back = [(fact, e) for fact in later for e in inverse(fact.kind, fact.after, fact.numbers).all]
    last = [(masked, e) for e in solve_for(masked.kind, masked.before, masked.after, masked.numbers, place.number)]
    return [_line(problem, fact, equation) for fact, equation in ahead + back + last]


def _line(problem: WordProblem, fact: Fact, equation: Equation) -> Line:
    return Line(equation, fact.owner, unit_of(fact.state, problem.cast))
