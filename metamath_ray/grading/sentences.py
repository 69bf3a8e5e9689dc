"""Where in a sentence its value stands."""

import re

from metamath_ray.grading.names import FUNCTIONS, GREEK
from metamath_ray.grading.surface import unwrap

MATH_SPAN = re.compile(
    r"\$\$(.{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)|(?<!\\)\$([^$\n]{1,1000})(?<!\\)\$", re.DOTALL
)
NUMBER = re.compile(
    r"\\[dt]?frac\{[^{}]{1,80}\}\{[^{}]{1,80}\}"
    r"|(?<![A-Za-z0-9_.\\^{])[-−]?(?:\\?\$|[€£¥])?\s?"
    r"(?:\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+|\d+)(?:[.,]\d+)?(?:\s?/\s?\d+(?:\.\d+)?)?"
    r"(?:\s?(?:\\?%|°|€|£|m²|cm²|km²|m³))?"
    r"|(?<![\w\\])-?\.\d+"
)
_LETTERS = r"\u0600-\u0dff\u3040-\u9fff"
_SENTENCE_END = re.compile(r"\n|(?<![A-Z])[.!?](?=\s|$)|。")
_IS = re.compile(r"\b(?:is|are|equals|est|=)\s+(?=[^\s])")
_VALUE_START = re.compile(r"\d|\$|\\[(\[]|\\[a-z]?frac|\\boxed|\\sqrt|\\begin")
_LEADING_WORDS = re.compile(
    r"[^\W\d_]{2,30}\s{0,3}:|[^\W\d_]{2,30}[,']?\s{1,3}(?:[a-z]\s+)?[^\W\d_]{2,30}" + rf"|[{_LETTERS}]{{2}}"
)
_LEADING_WORD = re.compile(r"(?<![\\\w])(?!(?:and|or)\b)[A-Z]?[a-z]{2,30},?\s+$")
_OPERATORS = FUNCTIONS | GREEK | {"mod", "pi", "in", "negative", "minus"}
_WORDS = re.compile(rf"[A-Za-z]{{2,}}|[{_LETTERS}]{{2}}")
_COMMANDS = re.compile(r"\\[A-Za-z]+")
_TEXT = re.compile(r"\\(?:text\w*|mbox)\s?\{[^{}]*\}")
_FORMULA_WORDS = re.compile(r"[A-Za-z]{2,30}\s+[A-Za-z]{2,30}\s+")
_CHOICE_LETTER = re.compile(r"(?<![A-Za-z0-9'])(?:[B-H]|A(?!\s[a-z]))(?![A-Za-z0-9'])")

_MAX_PROSE_CHARS = 4_000
MAX_UNIT_WORDS = 4
"""Words beside a value that still read as its unit: "square feet per hour"."""


def first_sentence(text: str) -> str:
    """Return the text up to the end of its first sentence or line; a decimal point ends none."""
    end = _SENTENCE_END.search(text)
    return text if end is None else text[: end.start()]


def is_sentence(text: str) -> bool:
    """Whether words lead up to a value: "The largest n is 34" does, "34 apples" and "no solution" do not."""
    start = _VALUE_START.search(text)
    if start is None:
        return False
    lead = text[: start.start()][-1_000:]
    word = _LEADING_WORD.search(lead)
    if word is not None and word.group().strip(" ,") not in _OPERATORS:
        return True
    return _LEADING_WORDS.search(lead) is not None


def is_short(text: str) -> bool:
    """Whether a text has room for a value and its unit only."""
    if len(text) > 2_000 or re.search(r"[.。]\s", text):
        return False
    return not is_prose(text)


def is_prose(text: str) -> bool:
    """Whether there are more words than beside a value and its unit."""
    return len(_WORDS.findall(_COMMANDS.sub(" ", text[-_MAX_PROSE_CHARS:]))) > MAX_UNIT_WORDS


def states_value(sentence: str) -> bool:
    """Whether the sentence has the form "… is X"."""
    return _IS.search(sentence) is not None


def stated_value(sentence: str) -> str:
    """Return what "… is X" states, else the first number, formula or letter; "" for words alone."""
    *_, stated = _IS.split(sentence)
    if stated != sentence and not is_sentence(stated) and is_short(stated):
        return unwrap(stated)
    found = NUMBER.search(sentence) or MATH_SPAN.search(sentence) or _CHOICE_LETTER.search(sentence)
    return unwrap(found.group()) if found else ""


def is_formula(text: str) -> bool:
    """Whether what stands between dollars is mathematics, and not the words between two prices."""
    return _FORMULA_WORDS.search(_COMMANDS.sub(" ", _TEXT.sub(" ", text))) is None


def last_span(text: str) -> re.Match[str] | None:
    """Return the last formula between mathematics delimiters, None when there is none."""
    found = None
    for span in MATH_SPAN.finditer(text):
        if is_formula(span.group()):
            found = span
    return found


def last_number(text: str) -> re.Match[str] | None:
    """Return the last number, None when there is none."""
    *_, found = (None, *NUMBER.finditer(text))
    return found


def first_choice(text: str) -> str | None:
    """Return the first letter that can name a choice, None when there is none."""
    letter = _CHOICE_LETTER.search(text)
    return letter.group() if letter else None


def last_choice(text: str) -> str | None:
    """Return the last letter that can name a choice, None when there is none."""
    letters = _CHOICE_LETTER.findall(text)
    return letters[-1] if letters else None
