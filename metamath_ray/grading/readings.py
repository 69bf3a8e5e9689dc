"""From one answer as written to the ways in which it can be read."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from metamath_ray.grading.compounds import read_compound
from metamath_ray.grading.extraction import extract_answer, states_answer
from metamath_ray.grading.limits import (
    CACHE_SIZE,
    MAX_ANSWER_CHARS,
    MAX_CACHED_CHARS,
    MAX_READINGS,
    MAX_STATEMENT_CHARS,
    MAX_STATEMENTS,
)
from metamath_ray.grading.names import CONSTANTS, FUNCTIONS
from metamath_ray.grading.numbers import Number, read_number
from metamath_ray.grading.parser import parse
from metamath_ray.grading.surface import clean
from metamath_ray.grading.sympy_forms import NAMES
from metamath_ray.grading.tokens import ParseFailure
from metamath_ray.grading.tree import Node, symbol
from metamath_ray.grading.units import NO_UNIT, SINGLE_LETTERS, Unit, split_unit
from metamath_ray.grading.words import plain_words, read_scaled, read_words, unwrapped


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read an answer.

    Attributes:
        kind: number, tree, time, choice, text or opaque (mathematics that our parser does not know).
        text: The words in plain spelling; the minutes of a time; the letter of a choice; the LaTeX of an opaque one.
        number: The value, for a number.
        node: The parsed form, for a number and a tree.
        is_weak: A letter was taken for a unit ("3s"), which only holds beside an answer without letters.
    """

    kind: str
    text: str
    number: Number | None = None
    node: Node | None = None
    unit: Unit = NO_UNIT
    is_weak: bool = False


_TIME = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?\s?(?:\\text\s?\{)?\s?(?P<half>[ap])?\.?\s?m?\.?\s?\}?$",
    re.I,
)
_HOUR = re.compile(r"(?P<hour>\d{1,2})\s?(?:\\text\s?\{\s?)?(?P<half>[ap])\.?\s?m\.?\s?\}?$", re.I)
_CHOICE = re.compile(
    r"(?:\\text\w*\s?\{\s?)?\(?(?P<letter>[A-J])(?:\)\s?\}?|[.:](?=\s|\}?$)\s?\}?|(?=[\u3040-\u9fff]))"
    r"|(?:option|Option|choice|Choice)\s\(?(?P<named>[A-J])\)?$"
    r"|(?P<bare>[A-J])\s+(?=[A-Z][a-z]|\\text|(?:non|not|because|since)\b)"
)
_ONLY_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mbox|hbox|texttt|textsc)\s?\{(?P<words>[^{}]*)\}\s?\.?$"
)
_GROUPED_INSIDE = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_NUMBERS_AND_COMMAS = re.compile(r"-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?)+\Z")
_JOINT = re.compile(r"[,;]|\b(?:and|or)\b")
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?\Z")
_UNIT_LETTERS = re.compile(r"\\[a-zA-Z]+|\^\s?\{?\d\}?|[\s{}$.]")
NAMED_SETS = {"no solution": Node("set"), "all real number": symbol("set of R"), "all integer": symbol("set of Z")}
"""Plain texts that name a set."""

_TEXT_COMMANDS = ("\\text", "\\mbox", "\\hbox", "{\\rm")
_SHORT_TEXTS = frozenset(
    [
        "yes",
        "no",
        "odd",
        "all",
        "dne",
        "one",
        "two",
        "six",
        "ten",
        "red",
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
    ]
)


def read(raw: str) -> tuple[Reading, ...]:
    """Return the readings of an answer, the most likely first; none when there is nothing in it."""
    if len(raw) <= MAX_CACHED_CHARS:
        return _read_short(raw)
    if len(raw) <= MAX_ANSWER_CHARS:
        return _read(raw)
    end = raw[-MAX_STATEMENT_CHARS:]
    return (_statement(end) if states_answer(end) else ()) or (Reading("opaque", raw.strip()),)


@lru_cache(maxsize=CACHE_SIZE)
def _read_short(raw: str) -> tuple[Reading, ...]:
    return _read(raw)


def forget_readings() -> None:
    """Forget every reading; for benchmarks that measure the first time."""
    _read_short.cache_clear()


def _read(raw: str, statements: int = MAX_STATEMENTS) -> tuple[Reading, ...]:
    """Read an answer of bounded length; one that states another is followed so many times."""
    text = raw if _PLAIN_NUMBER.match(raw) else clean(raw)
    if not text:
        return ()
    value = read_number(text)
    if value is not None:
        return (Reading("number", text, value, number_node(value)),)
    if statements and states_answer(raw) and not _CHOICE.match(text) and read_words(text) is None:
        return (*_statement(raw, statements)[: MAX_READINGS - 1], _as_text(text))
    return tuple(_readings(text)[:MAX_READINGS])


def _statement(raw: str, statements: int = MAX_STATEMENTS) -> tuple[Reading, ...]:
    """Read the answer that a sentence or a whole solution states."""
    stated = extract_answer(raw)
    if not stated or len(stated) > MAX_ANSWER_CHARS or len(stated) >= len(raw.strip()):
        return ()
    return _read(stated, statements - 1)


def _readings(text: str) -> list[Reading]:
    """Try the forms of an answer one after the other."""
    found: list[Reading] = []
    compound = read_compound(text)
    if compound:
        value, unit = compound
        return [Reading("number", text, value, number_node(value), unit)]
    time = _TIME.match(text) or _HOUR.match(text)
    if time and int(time["hour"]) <= 24:
        found.append(_time(time))
        if time.re is _HOUR:
            return [*found, *_readings(time["hour"])]
        if time["half"] or time["second"]:
            return found
    choice = _CHOICE.match(text)
    if choice:
        found.append(Reading("choice", choice[choice.lastgroup or 0]))
    spoken = read_words(text)
    if spoken is not None:
        found.append(Reading("number", text, spoken, number_node(spoken)))
    wrapped = _ONLY_TEXT.match(text)
    if wrapped and not _is_text(wrapped["words"].strip()):
        found += [reading for reading in _readings(wrapped["words"].strip()) if reading.kind != "opaque"]
    if wrapped or _is_text(text):
        words = _as_text(text)
        named = NAMED_SETS.get(words.text)
        return [*found, words] if named is None else [*found, words, Reading("tree", text, None, named)]
    return found + _mathematical(text)


def _mathematical(text: str) -> list[Reading]:
    """Read with and without the unit at the end; a letter that may be a unit is one only beside a bare number."""
    core, unit = split_unit(text)
    dropped = text.removeprefix(core)
    letters = _UNIT_LETTERS.sub("", dropped)
    is_weak = letters in SINGLE_LETTERS and not dropped.lstrip().startswith(_TEXT_COMMANDS)
    value = _value(core, unit) if is_weak or _is_unit(core, dropped, letters, unit) else None
    if value is not None and not is_weak and (value.kind == "number" or unit.dimension != "angle"):
        return [value]
    whole = _value(text, NO_UNIT)
    found = [] if whole is None else [whole]
    if value is not None and value.kind == "number":
        found.append(replace(value, is_weak=True))
    return found or [Reading("opaque", text)]


def _is_unit(core: str, dropped: str, letters: str, unit: Unit) -> bool:
    """Whether what was taken off is a unit or words, and not a product of symbols."""
    if unit.dimension:
        return True
    if dropped.lstrip().startswith(_TEXT_COMMANDS) or not dropped.isascii():
        return True
    if core.rstrip()[-1:].isalpha() or "\\" in dropped:
        return False
    return len(letters) > (2 if dropped.startswith(" ") else 3)


def _value(text: str, unit: Unit) -> Reading | None:
    """Read a number or an expression."""
    value = read_number(text) or read_scaled(text)
    if value is not None:
        return Reading("number", text, value, number_node(value), unit)
    try:
        node = parse(_GROUPED_INSIDE.sub(_ungrouped, text) if not _in_brackets(text) else text)
    except (ParseFailure, RecursionError, ValueError):
        return None
    if node.head == "word":
        return None
    return Reading("tree", text, None, node, unit)


def _ungrouped(match: re.Match[str]) -> str:
    return match.group().replace(",", "")


def _in_brackets(text: str) -> bool:
    return any(bracket in text for bracket in "([{")


def as_lists(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Read "1,234" as two numbers: asked for only beside another answer that is no plain number."""
    texts = [reading.text for reading in readings if reading.kind == "number" and "," in reading.text]
    return tuple(
        Reading("tree", text, None, parse(text.replace(",", ", "))) for text in texts if _NUMBERS_AND_COMMAS.match(text)
    )


def _time(match: re.Match[str]) -> Reading:
    """Read a time of day: minutes since midnight, and whether it says which half of the day."""
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif not 1 <= hour <= 12:
        half = "a" if hour == 0 else "p"
    parts = match.groupdict("0")
    seconds = hour * 3600 + int(parts.get("minute", "0")) * 60 + int(parts.get("second", "0"))
    return Reading("time", f"{seconds}{half or '?'}")


def _is_text(text: str) -> bool:
    """Whether these are words rather than symbols."""
    if text in NAMES or not re.fullmatch(r"[^\W\d_][^\d\\^_=+*/<>()\[\]{}|]*", text):
        return False
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) > 1 and all(len(word) > 1 for word in words):
        return True
    return (
        any(len(word) > 3 and word not in FUNCTIONS and word not in CONSTANTS for word in words)
        or text.lower() in _SHORT_TEXTS
    )


def _as_text(text: str) -> Reading:
    """Read words; the items of a list are put into one order, for it is free of order."""
    return Reading("text", " , ".join(sorted(filter(None, map(plain_words, _JOINT.split(unwrapped(text)))))))


def number_node(value: Number) -> Node:
    """Return the node of a number; a decimal keeps its places."""
    size = abs(value.value)
    if value.places > 0:
        digits = str(size.numerator * 10**value.places // size.denominator).zfill(value.places + 1)
        node = Node("number", text=f"{digits[: -value.places]}.{digits[-value.places :]}")
    else:
        node = Node("number", text=str(size))
    return Node("neg", (node,)) if value.value < 0 else node
