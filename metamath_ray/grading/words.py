"""Words: numbers that are spelled out, and texts in plain spelling."""

import re
from fractions import Fraction

from metamath_ray.grading.numbers import Number, read_number

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_COLLECTIVE = {"dozen": 12, "score": 20}
_SCALES = _LARGE | _COLLECTIVE | {"hundred": 100}
_MAX_WORDS = 16

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|texttt|textsc|mbox|hbox|mathrm|mathbf|operatorname|emph)\s?\{([^{}]*)\}"
)
_SCALED = re.compile(
    r"([-+]?[\d.,]+)\s?(dozen|hundred|thousand|million|billion|trillion)s?(?:\s[a-zA-Z]+)?$", re.IGNORECASE
)
_SYNONYMS = {
    "dne": "does not exist",
    "doe not exist": "does not exist",
    "none": "no solution",
    "empty set": "no solution",
    "no real solution": "no solution",
    "real number": "all real number",
    "all real": "all real number",
}
_MAX_UNINFLECTED = 4
_FILLER = re.compile(r"\b(?:the|a|an)\b")


def unwrapped(text: str) -> str:
    """Return the text without the commands that set it upright or bold."""
    return _WRAPPER.sub(r" \1 ", text)


def read_scaled(text: str) -> Number | None:
    """Read "1.5 million", "2 dozen"; a unit word may follow."""
    scaled = _SCALED.match(" ".join(unwrapped(text).split()))
    number = read_number(scaled[1]) if scaled else None
    return None if scaled is None or number is None else Number(number.value * _SCALES[scaled[2].lower()])


def read_words(text: str) -> Number | None:
    """Read "twenty-five", "three quarters", "two and a half", "a hundred thousand"; a unit word may follow."""
    if text.startswith("-") and text[1:2].isalpha():
        number = read_words(text[1:])
        return None if number is None else Number(-number.value)
    words = re.findall(r"[a-z]+", _WRAPPER.sub(r"\1", text).lower())
    if not words or len(words) > _MAX_WORDS or re.search(r"[\d\\^=+*/]", _WRAPPER.sub(r"\1", text)):
        return None
    value, used = _cardinal(words)
    rest = words[used:]
    if rest[:1] == ["and"] and used:
        part = _part(rest[1:], 1)
        return Number(value + part) if part is not None and len(rest) <= 4 else None
    part = _part(rest, value if used else 1) if used or words[0] in ("a", "an", "half", "quarter") else None
    if part is not None:
        return Number(part)
    return Number(Fraction(value)) if used and len(rest) <= 1 else None


def _cardinal(words: list[str]) -> tuple[int, int]:
    """Return the whole number at the start of the words and how many of them it took."""
    total = current = used = 0
    for place, word in enumerate(words):
        if word in _SMALL or word in _TENS:
            current += _SMALL.get(word, 0) + _TENS.get(word, 0)
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in _COLLECTIVE:
            current = max(current, 1) * _COLLECTIVE[word]
        elif word in _LARGE:
            total, current = total + max(current, 1) * _LARGE[word], 0
        elif word == "and" and place and words[place - 1] in ("hundred", *_LARGE) and place + 1 < len(words):
            continue
        elif not (word in ("a", "an") and place == 0 and words[1:2] and words[1] in ("hundred", *_LARGE, *_COLLECTIVE)):
            break
        used = place + 1
    return total + current, used


def _part(words: list[str], count: int) -> Fraction | None:
    """Read "half", "a third", "quarters" behind a count."""
    names = [word for word in words if word not in ("a", "an", "one", "of")]
    if not names or len(names) > 2:
        return None
    name = {"halves": "half"}.get(names[0], names[0].removesuffix("s"))
    return Fraction(count, _PARTS[name]) if name in _PARTS else None


def is_negated(text: str) -> bool:
    """Whether a plain text denies something."""
    return not {"not", "no", "non", "never", "neither"}.isdisjoint(re.findall(r"[a-z]+", text))


def plain_words(text: str) -> str:
    """Return a text in plain spelling: no wrappers, articles, case or punctuation; single letters keep their case."""
    for _ in range(3):
        text = _WRAPPER.sub(r" \1 ", text)
    text = re.sub(r"[\\$\"“”.,;:!?(){}]+|'(?!\w)", " ", text)
    words = text.split()
    if len(words) == 1 and len(words[0]) == 1:
        return words[0]
    kept = _FILLER.sub(" ", " ".join(words).lower()).split()
    plain = " ".join(word.removesuffix("s") if len(word) > _MAX_UNINFLECTED else word for word in kept)
    return _SYNONYMS.get(plain, plain)
