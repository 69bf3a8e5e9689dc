"""Draws the structure of a problem: a chain of facts with exactly so many steps, every value exact."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from metamath_ray.datasets.word_problems.equations import is_decimal
from metamath_ray.datasets.word_problems.operations import PERCENT_AS_DIVISOR, Numbers, forward, operation_of
from metamath_ray.datasets.word_problems.structure import Cast, Fact, WordProblem
from metamath_ray.datasets.word_problems.wordings import TABLES, words

STEP_WEIGHTS = {2: 44, 3: 28, 4: 14, 5: 7, 6: 4, 7: 2, 8: 1}
"""How often a problem has so many steps, in percent."""

START_STATES = {"count": 40, "money": 25, "made": 13, "miles": 12, "age": 10}
SCALES = {"small": 70, "medium": 25, "large": 5}
NUM_ASIDES = {0: 62, 1: 30, 2: 8}
KIND_WEIGHTS = {"add": 2.0, "sub": 2.0, "add_product": 2.0, "sub_product": 2.0}
"""Kinds that are drawn more often than the rest (1)."""

LARGEST_VALUE = {"age": 110}
FRACTIONS = [Fraction(1, k) for k in (2, 2, 3, 3, 4, 4, 5, 5, 6, 8, 10)] + [
    Fraction(2, 3),
    Fraction(3, 4),
    Fraction(2, 5),
]
PERCENTS = [*PERCENT_AS_DIVISOR, *PERCENT_AS_DIVISOR, Fraction(30), Fraction(40), Fraction(60)]
SMALL_PRICES = [Fraction(1, 2), Fraction(3, 2), Fraction(5, 2)]

_ADDENDS = {
    "small": [(2, 30)],
    "medium": [(2, 30), (10, 99)],
    "large": [(10, 99), (100, 999), (100, 999), (1000, 3000)],
}
_LITERALS = {"small": [(6, 40)], "medium": [(10, 60), (20, 120)], "large": [(100, 999), (100, 999), (1000, 4000)]}
_FACTORS = {"small": [(2, 12)], "medium": [(4, 15), (10, 40)], "large": [(11, 99), (20, 150)]}
_MOST_TRIES = 12


class _DeadEndError(Exception):
    """No sentence fits the running value and the steps that are left."""


def pick(rng: random.Random, weights: dict[str, int]) -> str:
    """Draws a key with its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def sample_problem(rng: random.Random, num_steps: int | None = None) -> WordProblem:
    """Draws a problem.

    Args:
        rng: where all choices come from.
        num_steps: equations of the plainest solution, 2 to 8; drawn by ``STEP_WEIGHTS`` if not given.
    """
    steps = num_steps or rng.choices(list(STEP_WEIGHTS), list(STEP_WEIGHTS.values()))[0]
    while True:
        try:
            return _Chain(rng, steps).build()
        except _DeadEndError:
            continue


def _between(rng: random.Random, ranges: Sequence[tuple[int, int]]) -> Fraction:
    return Fraction(rng.randint(*rng.choice(ranges)))


@dataclass
class _Chain:
    """A problem under construction."""

    rng: random.Random
    steps_left: int
    facts: list[Fact] = field(default_factory=list)

    def build(self) -> WordProblem:
        self.people = self.rng.sample(words("names"), 14)
        self.scale = pick(self.rng, SCALES)
        self.state = pick(self.rng, START_STATES)
        self._start()
        while self.steps_left > 0:
            self._move()
        return WordProblem(facts=tuple(self.facts), asides=self._asides(), state=self.state, cast=self._cast())

    def _start(self) -> None:
        kind = self.rng.choice(list(TABLES[self.state]["start"]))
        numbers = self._numbers(kind, Fraction(0))
        work = forward(kind, Fraction(0), numbers)
        after = work.result if work.all else numbers[0]
        if after > LARGEST_VALUE.get(self.state, 9999):
            raise _DeadEndError
        self._append(kind, numbers, self.people.pop(), Fraction(0), after, len(work.all))

    def _move(self) -> None:
        kinds = list(TABLES[self.state].get("move", ()))
        for _ in range(_MOST_TRIES if kinds else 0):
            kind = self.rng.choices(kinds, [KIND_WEIGHTS.get(kind, 1.0) for kind in kinds])[0]
            if self._try(kind):
                return
        raise _DeadEndError

    def _try(self, kind: str) -> bool:
        before = self.facts[-1].after
        if [fact.kind for fact in self.facts[-2:]] == [kind, kind] or not self._applies(kind, before):
            return False
        numbers = self._numbers(kind, before)
        work = forward(kind, before, numbers)
        next_state = TABLES[self.state].get("next", {}).get(kind, self.state)
        is_last = len(work.all) == self.steps_left
        fits = len(work.all) < self.steps_left and "move" in TABLES[next_state]
        if not (is_last or fits) or not self._in_range(next_state, [e.result for e in work.all]):
            return False
        self._append(kind, numbers, self.facts[-1].owner, before, work.result, len(work.all))
        self.state = next_state
        return True

    def _applies(self, kind: str, before: Fraction) -> bool:
        """Whether the running value bears the operation at all."""
        match operation_of(kind):
            case "add" | "sub" | "add_product" | "sub_product" | "target" | "together_more":
                return True
            case "div":
                return before.denominator == 1 and bool(_divisors(before))
            case "part" | "lose_fraction":
                return before.denominator == 1 and any(before % f.denominator == 0 for f in FRACTIONS)
            case "lose_percent" | "gain_percent":
                return before.denominator == 1 and any(before * p % 100 == 0 for p in PERCENTS)
            case _:
                return before.denominator == 1 and before <= 400

    def _in_range(self, state: str, values: Sequence[Fraction]) -> bool:
        largest = LARGEST_VALUE.get(state, 9999)
        return all(value >= 1 and is_decimal(value) for value in values) and values[-1] <= largest

    def _append(self, kind: str, numbers: Numbers, name: str, before: Fraction, after: Fraction, cost: int) -> None:
        other = self.people.pop() if kind.startswith("rel_") else self.rng.choice(self.people)
        self.facts.append(
            Fact(state=self.state, kind=kind, numbers=numbers, name=name, other=other, before=before, after=after)
        )
        self.steps_left -= cost

    def _numbers(self, kind: str, before: Fraction) -> Numbers:  # noqa: PLR0911  (one case an operation)
        rng = self.rng
        match operation_of(kind):
            case "set":
                return (_between(rng, [(3, 40)] if self.state == "age" else _LITERALS[self.scale]),)
            case "set_product" | "add_product" | "sub_product":
                return (_between(rng, [(2, 9)]), self._price() or _between(rng, _FACTORS[self.scale]))
            case "set_sum":
                return (_between(rng, _ADDENDS[self.scale]), _between(rng, _ADDENDS[self.scale]))
            case "mul":
                price = self._price() if kind == "price" else None
                return (price or _between(rng, [(2, 5), (2, 9)] if before < 60 else [(2, 4)]),)
            case "double" | "triple":
                return ()
            case "div":
                return (rng.choice(_divisors(before)),)
            case "part" | "lose_fraction":
                unit_only = operation_of(kind) == "part"
                fits = [f for f in FRACTIONS if before % f.denominator == 0 and not (unit_only and f.numerator > 1)]
                return (rng.choice(fits or [Fraction(1, 2)]),)
            case "lose_percent" | "gain_percent":
                return (rng.choice([p for p in PERCENTS if before * p % 100 == 0]),)
            case "target":
                return (before + self._addend(),)
            case "together_times":
                return (_between(rng, [(2, 5)]),)
            case _:
                return (self._addend(),)

    def _addend(self) -> Fraction:
        return _between(self.rng, [(2, 15)] if self.state in ("age", "packed", "gallons") else _ADDENDS[self.scale])

    def _price(self) -> Fraction | None:
        """Now and then, in matters of money, a price with cents."""
        is_money = self.state in ("money", "cost")
        return self.rng.choice(SMALL_PRICES) if is_money and self.rng.random() < 0.08 else None

    def _asides(self) -> tuple[Fact, ...]:
        count = self.rng.choices(list(NUM_ASIDES), list(NUM_ASIDES.values()))[0]
        kinds = self.rng.sample(list(TABLES["aside"]["move"]), count)
        owner, zero = self.facts[0].name, Fraction(0)
        return tuple(
            Fact(
                state="aside",
                kind=kind,
                numbers=(_between(self.rng, [(2, 30), (10, 99)]),),
                name=owner,
                other=self.people.pop(),
                before=zero,
                after=zero,
            )
            for kind in kinds
        )

    def _cast(self) -> Cast:
        items, extras = self.rng.sample(words("items"), 2)
        return Cast(
            items=items, goods=self.rng.choice(words("goods")), boxes=self.rng.choice(words("boxes")), extras=extras
        )


def _divisors(value: Fraction) -> list[Fraction]:
    """Divisors from 2 to 12 that leave at least 2."""
    return [Fraction(d) for d in range(2, 13) if value % d == 0 and value / d >= 2]
