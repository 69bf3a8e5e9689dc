"""Solutions with one mistake, and everything after it worked out correctly.

What a verifier has to find, in any number and with a label that is certain: a slip of arithmetic, a value copied
wrongly, or a question misread. The shares are near those of the embedded models' own mistakes.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from metamath_ray.datasets.word_problems.equations import format_number, is_decimal
from metamath_ray.datasets.word_problems.operations import forward, operation_of
from metamath_ray.datasets.word_problems.solutions import Path, in_style, lines_of, write_solution
from metamath_ray.datasets.word_problems.structure import Fact, WordProblem

CONFUSED_WITH: dict[str, tuple[str, ...]] = {
    "add": ("sub", "mul"),
    "sub": ("add",),
    "mul": ("div", "add"),
    "div": ("mul", "sub"),
    "double": ("triple",),
    "triple": ("double",),
    "add_product": ("sub_product",),
    "sub_product": ("add_product",),
    "lose_fraction": ("part",),
    "part": ("lose_fraction",),
    "lose_percent": ("gain_percent",),
    "gain_percent": ("lose_percent",),
    "target": ("add",),
    "together_times": ("mul",),
    "together_more": ("add",),
    "set_product": ("set_sum",),
    "set_sum": ("set_product",),
}
"""Operation → what it is taken for."""

HALF_READ = {"add_product": "add", "sub_product": "sub", "set_product": "literal", "set_sum": "literal"}
"""Operation of two numbers → what is left of it when one of them is overlooked."""

SLIPS = (-100, -10, -2, -1, 1, 2, 10, 100)
SHARE_OF_SUMS = 0.4
"""How often a slip is one of these, and not a wrong digit."""
SHARE_OF_ALTERNATIVES = 0.25
SEED_BITS = 31
SHARE_OF_OTHER_NUMBERS = 0.7
"""How often a misread number is another number of the question, and not one close by."""

NEAR = (-10, -1, 1, 2, 10)
"""How far a misread number lies from the number that stands there."""

SHARES = {"slip": 50, "copy": 10, "misread": 40}
"""How often each kind of mistake is made, in percent."""

MOST_TRIES = 40


def write_mistake(problem: WordProblem, rng: random.Random) -> str | None:
    """Write a solution with one mistake, which comes to another answer.

    All values stay positive and decimal, as those of right solutions are.

    Returns:
        None when no such mistake was found.
    """
    for _ in range(MOST_TRIES):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        text = _misread(problem, rng) if kind == "misread" else _miscalculated(problem, rng, is_shown=kind == "slip")
        if text and not text.endswith(f": {format_number(problem.answer)}"):
            return text
    return None


def _miscalculated(problem: WordProblem, rng: random.Random, *, is_shown: bool) -> str | None:
    """Go on from a wrong value after one sentence.

    Args:
        is_shown: The wrong value is written as the result, a slip; else the right one is, and is copied wrongly.
    """
    place = rng.randrange(len(problem.facts) - (0 if is_shown else 1) or 1)
    wrong = _slip(problem.facts[place].after, rng)
    if wrong <= 0:
        return None
    head, tail = problem.facts[: place + 1], _worked_out(problem.facts[place + 1 :], wrong)
    if tail is None or not forward(head[-1].kind, head[-1].before, head[-1].numbers).all:
        return None
    path = Path(alternative=rng.random() < SHARE_OF_ALTERNATIVES)
    lines = lines_of(replace(problem, facts=head), path)
    if is_shown:
        lines[-1] = replace(lines[-1], equation=lines[-1].equation._replace(claimed=wrong))
    lines += lines_of(replace(problem, facts=tuple(tail)), path) if tail else []
    answer = tail[-1].after if tail else wrong
    return f"{in_style(lines, rng)}\nThe answer is: {format_number(answer)}"


def _slip(value: Fraction, rng: random.Random) -> Fraction:
    """Return a number that is written, or computed, almost as this one."""
    digits = str(value.numerator)
    if value.denominator > 1 or rng.random() < SHARE_OF_SUMS:
        return value + rng.choice(SLIPS)
    place = rng.randrange(len(digits))
    return Fraction(int(f"{digits[:place]}{rng.randrange(10)}{digits[place + 1 :]}"))


def _misread(problem: WordProblem, rng: random.Random) -> str | None:
    """Take one sentence for another, one of its numbers for another, or overlook it or one of its two numbers."""
    facts = _misread_facts(problem, rng)
    done = _worked_out(facts, Fraction(0)) if facts else None
    if not done or not any(forward(fact.kind, fact.before, fact.numbers).all for fact in done):
        return None
    return write_solution(replace(problem, facts=tuple(done)), rng.getrandbits(SEED_BITS))


def _misread_facts(problem: WordProblem, rng: random.Random) -> list[Fact] | None:
    facts = list(problem.facts)
    place = rng.randrange(len(facts))
    fact, operation = facts[place], operation_of(facts[place].kind)
    match rng.choice(("operation", "operation", "number", "sentence", "half")):
        case "operation" if operation in CONFUSED_WITH:
            facts[place] = replace(fact, kind=rng.choice(CONFUSED_WITH[operation]))
        case "number" if fact.numbers:
            facts[place] = replace(fact, numbers=_another_number(problem, fact.numbers, rng))
        case "sentence" if place > 0:
            del facts[place]
        case "half" if operation in HALF_READ:
            facts[place] = replace(fact, kind=HALF_READ[operation], numbers=(rng.choice(fact.numbers),))
        case _:
            return None
    return facts


def _another_number(problem: WordProblem, numbers: Sequence[Fraction], rng: random.Random) -> tuple[Fraction, ...]:
    place = rng.randrange(len(numbers))
    if rng.random() < SHARE_OF_OTHER_NUMBERS:
        other = rng.choice([number for fact in (*problem.facts, *problem.asides) for number in fact.numbers])
    else:
        other = numbers[place] + rng.choice(NEAR)
    return (*numbers[:place], other, *numbers[place + 1 :])


def _worked_out(facts: Sequence[Fact], before: Fraction) -> list[Fact] | None:
    """Compute all values anew, from a running value on; None where one of them is no positive decimal."""
    done: list[Fact] = []
    for fact in facts:
        if any(number <= 0 for number in fact.numbers):
            return None
        work = forward(fact.kind, before, fact.numbers)
        if any(equation.result <= 0 or not is_decimal(equation.result) for equation in work.all):
            return None
        after = work.result if work.all else fact.numbers[0]
        done.append(replace(fact, before=before, after=after))
        before = after
    return done
