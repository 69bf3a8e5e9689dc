"""Texts without what makes equal texts look different: case, white space, punctuation, digit grouping."""

import re
import unicodedata
from functools import lru_cache

_OPERATORS = frozenset("-+*/^=<>%!|(){}[]\\_")
_NUMBER_OR_OPERATOR = rf"\d+(?:\.\d+)?|\.\d+|[{re.escape(''.join(sorted(_OPERATORS)))}]"
_TOKEN = re.compile(rf"[^\W\d_]+|{_NUMBER_OR_OPERATOR}")
_ASCII_TOKEN = re.compile(rf"[a-z]+|{_NUMBER_OR_OPERATOR}", re.ASCII)
"""The same for text that is ASCII, twice as fast."""
_DIGIT_GROUP = re.compile(r"(\d)(?:,|\{,\})(?=\d{3}(?!\d))")
_DIAGRAM_START, _DIAGRAM_END = "[ asy ]", "[ / asy ]"
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "÷": "/", "≤": "<", "≥": ">"})


@lru_cache(maxsize=256)
def fold(text: str) -> str:
    """Return the text as lower-case words, numbers and mathematical operators, one space between any two.

    Quotes, commas, full stops and dollars go; operators and brackets stay: "3 + 5" and "3 - 5" are different texts. The
    last texts are remembered, for a question is compared with test questions and, soon after, with those of other rows.
    """
    if text.isascii():
        return " ".join(_ASCII_TOKEN.findall(_without_digit_groups(text.lower())))
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS).casefold()
    return " ".join(_TOKEN.findall(_without_digit_groups(text)))


def _without_digit_groups(text: str) -> str:
    return _DIGIT_GROUP.sub(r"\1", text) if "," in text else text


def words(folded: str) -> list[str]:
    """Return the words and numbers of a folded text, without operators and without diagram code (`[asy]`)."""
    first, *rest = folded.split(_DIAGRAM_START)
    prose = " ".join([first, *(part.rpartition(_DIAGRAM_END)[2] for part in rest)])
    return [token for token in prose.split() if token not in _OPERATORS]
