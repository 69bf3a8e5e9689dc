"""What a problem says, apart from how it says it."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from metamath_ray.datasets.word_problems.equations import format_number
from metamath_ray.datasets.word_problems.operations import forward

_KINDS_OF_TWO = ("rel_", "together_", "hours")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One sentence: what kind it is, its numbers, and the running value around it."""

    state: str
    """What the running value counts before the sentence: a table of wordings.toml."""
    kind: str
    numbers: tuple[Fraction, ...]
    name: str
    """The person whose value runs."""
    other: str
    """A second person; the one whose value runs from here on where the sentence compares two."""
    before: Fraction
    after: Fraction

    @property
    def other_matters(self) -> bool:
        """Whether the problem goes on with the second person or asks about them."""
        return self.kind.startswith(_KINDS_OF_TWO)

    @property
    def owner(self) -> str:
        """The person whose value runs after the sentence."""
        return self.other if self.kind.startswith("rel_") else self.name


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The things that a problem is about."""

    items: str
    goods: str
    boxes: str
    extras: str


@dataclass(frozen=True, kw_only=True)
class WordProblem:
    """A chain of facts from given numbers to an answer, and sentences that do not matter to it."""

    facts: tuple[Fact, ...]
    asides: tuple[Fact, ...]
    state: str
    """What the answer counts: a table of wordings.toml."""
    cast: Cast

    @property
    def answer(self) -> Fraction:
        """The running value after the last fact."""
        return self.facts[-1].after

    @property
    def num_steps(self) -> int:
        """How many equations the plainest solution has."""
        return sum(len(forward(fact.kind, fact.before, fact.numbers).all) for fact in self.facts)

    @property
    def content_key(self) -> str:
        """A digest of kinds and numbers; problems that differ in names, things or wording alone share it."""
        parts = [f"{f.kind}({','.join(map(format_number, f.numbers))})" for f in self.facts]
        return hashlib.sha256(f"{self.facts[0].state}:{';'.join(parts)}".encode()).hexdigest()
