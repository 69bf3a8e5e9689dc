"""Worked solutions: several ways through a problem, each in several styles."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from metamath_ray.datasets.word_problems.equations import Equation, format_number
from metamath_ray.datasets.word_problems.operations import Work, forward, operation_of
from metamath_ray.datasets.word_problems.structure import Fact, WordProblem
from metamath_ray.datasets.word_problems.wordings import TABLES, unit_of

STYLE_WEIGHTS = {"terse": 45, "sentences": 25, "worded": 12, "named": 10, "numbered": 8}


@dataclass(frozen=True, kw_only=True)
class Path:
    """A way through a problem."""

    alternative: bool = False
    """Take the second way of each operation that has one."""
    sides_first: bool = False
    """Work out what needs no running value before all else."""
    merged: bool = False
    """Add up neighbouring additions (or subtractions) before applying them."""


@dataclass(frozen=True)
class Line:
    """An equation, whose value it is and what it counts."""

    equation: Equation
    owner: str
    unit: str


def write_solution(problem: WordProblem, seed: int) -> str:
    """Writes one of the problem's solutions, ending ``The answer is: …``; the seed selects path and style."""
    rng = random.Random(f"solution:{seed}")
    path = Path(alternative=rng.random() < 0.25, sides_first=rng.random() < 0.25, merged=rng.random() < 0.25)
    text = in_style(lines_of(problem, path), rng)
    return f"{text}\nThe answer is: {format_number(problem.answer)}"


def lines_of(problem: WordProblem, path: Path) -> list[Line]:
    """The solution along a path, one line an equation."""
    works = [(fact, forward(fact.kind, fact.before, fact.numbers, path.alternative)) for fact in problem.facts]
    if path.merged:
        works = _merge(works)
    sides = [_line(problem, fact, equation) for fact, work in works for equation in work.side]
    mains = [_line(problem, fact, equation) for fact, work in works for equation in work.main]
    if path.sides_first:
        return sides + mains
    return [_line(problem, fact, equation) for fact, work in works for equation in work.all]


def in_style(lines: Sequence[Line], rng: random.Random) -> str:
    """Writes lines in one of the styles of ``STYLE_WEIGHTS``."""
    style = rng.choices(list(STYLE_WEIGHTS), list(STYLE_WEIGHTS.values()))[0]
    equations = [str(line.equation) for line in lines]
    match style:
        case "terse":
            return "\n".join(equations)
        case "sentences":
            return ". ".join(equations) + "."
        case "worded":
            openings = ["First, ", *rng.choices(["Then ", "Next, ", "So "], k=len(lines) - 1)]
            return " ".join(
                f"{opening}{line.equation} {line.unit}." for opening, line in zip(openings, lines, strict=True)
            )
        case "named":
            return "\n".join(f"{line.owner}: {line.equation} {line.unit}" for line in lines)
        case _:
            return "\n".join(f"Step {number}: {text}" for number, text in enumerate(equations, 1))


def _line(problem: WordProblem, fact: Fact, equation: Equation) -> Line:
    return Line(equation, fact.owner, unit_of(_state_after(fact), problem.cast))


def _state_after(fact: Fact) -> str:
    state: str = TABLES[fact.state].get("next", {}).get(fact.kind, fact.state)
    return state


def _merge(works: Sequence[tuple[Fact, Work]]) -> list[tuple[Fact, Work]]:
    """Turns ``v + a``, then ``+ b``, into ``a + b = c``, then ``v + c``."""
    merged: list[tuple[Fact, Work]] = []
    for fact, work in works:
        last = merged[-1] if merged else None
        if last and _is_mergeable(last[0], last[1], fact):
            total = Equation(last[0].numbers[0], "+", fact.numbers[0])
            symbol = "+" if operation_of(fact.kind) == "add" else "-"
            merged[-1] = (fact, Work((total,), (Equation(last[0].before, symbol, total.result),)))
        else:
            merged.append((fact, work))
    return merged


def _is_mergeable(previous: Fact, work: Work, fact: Fact) -> bool:
    operation = operation_of(fact.kind)
    return operation in ("add", "sub") and operation == operation_of(previous.kind) and not work.side
