"""The table of wordings, and one problem written in many ways."""

import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.resources import files
from itertools import product
from typing import Any

from metamath_ray.datasets.word_problems.equations import format_number
from metamath_ray.datasets.word_problems.operations import operation_of
from metamath_ray.datasets.word_problems.structure import Cast, Fact, WordProblem

VARIABLE = "x"


def _load() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("wordings.toml").read_text(encoding="utf-8"))


TABLES = _load()
"""wordings.toml: states, and the words at its top."""

_MALE = frozenset(TABLES["male"])
_NUMBER_WORDS = {"1/2": "half"}


def words(name: str) -> list[str]:
    """One of the word lists: names, items, goods, boxes or connectors."""
    listed: list[str] = TABLES[name]
    return listed


@dataclass(frozen=True)
class NumberPlace:
    """One number of one fact of a problem."""

    fact: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Question:
    """A problem in one wording."""

    body: tuple[str, ...]
    """All sentences but the last."""
    ask: str
    """The last sentence, which asks."""
    statement: str
    """The last sentence with the answer, as a statement."""

    @property
    def text(self) -> str:
        """The whole question, in one line."""
        return " ".join((*self.body, self.ask))


def templates_of(fact: Fact) -> list[str]:
    """Every template that can say the fact."""
    table = TABLES[fact.state]
    found: list[str] = table.get("start", {}).get(fact.kind) or table["move"][fact.kind]
    return found


def write_question(problem: WordProblem, wording_seed: int, masked: NumberPlace | None = None) -> Question:
    """Writes a problem in the wording that the seed selects; the order of its sentences is the problem's own.

    Args:
        problem: what to say.
        wording_seed: selects templates, connectors, pronouns and the places of asides.
        masked: a number to show as ``x``; nothing else changes.
    """
    rng = random.Random(f"wording:{wording_seed}")
    body = [
        _sentence(problem, index, rng, masked.number if masked and masked.fact == index else None)
        for index in range(len(problem.facts))
    ]
    order = random.Random(f"order:{problem.content_key}")
    for aside in problem.asides:
        body.insert(
            order.randint(1, len(body)), _fill(rng.choice(templates_of(aside)), aside, problem.cast, aside.name)
        )
    ask, statement = rng.choice(TABLES[problem.state]["ask"])
    return Question(body=tuple(body), ask=_fill_ask(ask, problem), statement=_fill_ask(statement, problem))


def last_sentence_pairs(problem: WordProblem) -> list[tuple[str, str]]:
    """Every last sentence that the problem can have, with its statement."""
    pairs = TABLES[problem.state]["ask"]
    return [(_fill_ask(ask, problem), _fill_ask(statement, problem)) for ask, statement in pairs]


def is_wording_of(problem: WordProblem, text: str) -> bool:
    """Whether a text is some writing of the problem: every fact and aside with its numbers, and one of its questions.

    A strict lower bound of "means the same": it knows the wordings of the table and no others. People whom nothing else
    is said about ("gives 3 to Tom") may have another name.
    """
    sentences = re.split(r"(?<=[.?]) (?=[A-Z0-9])", text)
    asides = [_aside_sentences(problem, aside, text) for aside in problem.asides]
    told = [sentence for sentence in sentences[1:] if not any(sentence in options for options in asides)]
    said = [sentence for sentence in sentences[1:] if sentence not in told]
    facts = [sentences[0], *told[:-1]]
    return (
        len(facts) == len(problem.facts)
        and len(said) == len(asides)
        and all(any(sentence in options for sentence in said) for options in asides)
        and all(sentence in _all_sentences(problem, index, sentence) for index, sentence in enumerate(facts))
        and sentences[-1] in {ask for ask, _ in last_sentence_pairs(problem)}
    )


def keeps_answer(problem: WordProblem, text: str) -> bool:
    """Whether a text has every fact and a question of the problem; its asides, which do not matter, may be others."""
    sentences = re.split(r"(?<=[.?]) (?=[A-Z0-9])", text)
    aside = _any_aside(problem.cast.items)
    without = [sentence for sentence in sentences if not aside.fullmatch(sentence)]
    return is_wording_of(replace(problem, asides=()), " ".join(without))


def _any_aside(items: str) -> re.Pattern[str]:
    extras = "|".join(word for word in words("items") if word != items)
    slots = {"name": r"\w+", "other": r"\w+", "a": r"\d+", "extras": f"(?:{extras})"}
    templates = (template for group in TABLES["aside"]["move"].values() for template in group)
    return re.compile("|".join(template.replace(".", r"\.").format(**slots) for template in templates))


def unit_of(state: str, cast: Cast) -> str:
    """What the running value of a state counts, as a word."""
    unit: str = TABLES[state]["unit"]
    return unit.format(items=cast.items, goods=cast.goods, boxes=cast.boxes)


def _sentence(problem: WordProblem, index: int, rng: random.Random, masked: int | None) -> str:
    fact = problem.facts[index]
    template = rng.choice(templates_of(fact))
    connectors, subjects = _openings(problem, index, template)
    connector, subject, use_words = rng.choice(connectors), rng.choice(subjects), rng.random() < 0.5
    return _fill(template, fact, problem.cast, subject, connector=connector, masked=masked, use_words=use_words)


def _all_sentences(problem: WordProblem, index: int, text: str) -> Iterator[str]:
    fact = problem.facts[index]
    for template in templates_of(fact):
        connectors, subjects = _openings(problem, index, template)
        others = _renamed(fact, text)
        for connector, subject, use_words, one in product(connectors, subjects, (False, True), others):
            yield _fill(template, one, problem.cast, subject, connector=connector, use_words=use_words)


def _renamed(fact: Fact, text: str) -> list[Fact]:
    """The fact with each name of the text for its second person, if that person does not matter."""
    if fact.other_matters:
        return [fact]
    return [fact, *(replace(fact, other=name) for name in words("names") if name in text and name != fact.name)]


def _openings(problem: WordProblem, index: int, template: str) -> tuple[list[str], list[str]]:
    """Connectors and subjects that may open a sentence: a pronoun only where it cannot mean anyone else."""
    fact = problem.facts[index]
    if index == 0 or not template.startswith("{who}"):
        return [""], [fact.name]
    has_rivals = problem.facts[index - 1].other_matters
    pronoun = "he" if fact.name in _MALE else "she"
    return words("connectors"), [fact.name] if has_rivals else [fact.name, pronoun]


def _aside_sentences(problem: WordProblem, aside: Fact, text: str) -> list[str]:
    return [
        _fill(template, one, problem.cast, one.name)
        for template in templates_of(aside)
        for one in _renamed(aside, text)
    ]


def _fill_ask(template: str, problem: WordProblem) -> str:
    last = problem.facts[-1]
    answer = format_number(problem.answer)
    return _capitalized(template.format(name=last.owner, other=last.other, answer=answer, **_things(problem.cast)))


def _fill(
    template: str,
    fact: Fact,
    cast: Cast,
    subject: str,
    *,
    connector: str = "",
    masked: int | None = None,
    use_words: bool = False,
) -> str:
    shown = [_shown(fact, number, use_words) for number in fact.numbers]
    if masked is not None:
        shown[masked] = VARIABLE
    slots = dict(zip("ab", shown, strict=False))
    text = template.format(who=subject, name=fact.name, other=fact.other, **_things(cast), **slots)
    return _capitalized(connector + text)


def _shown(fact: Fact, number: Fraction, use_words: bool) -> str:
    if operation_of(fact.kind) in ("part", "lose_fraction"):
        text = f"{number.numerator}/{number.denominator}"
        return _NUMBER_WORDS.get(text, text) if use_words else text
    return str(number) if number.denominator == 1 else f"{float(number):.2f}"


def _things(cast: Cast) -> dict[str, str]:
    box = TABLES["box"][cast.boxes]
    return {"items": cast.items, "goods": cast.goods, "boxes": cast.boxes, "box": box, "extras": cast.extras}


def _capitalized(sentence: str) -> str:
    first = sentence.split(maxsplit=1)[0].rstrip("%")
    return sentence if first == VARIABLE else sentence[0].upper() + sentence[1:]
