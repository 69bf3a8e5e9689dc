"""Texts without what makes equal texts look different: case, white space, punctuation, digit grouping."""

import re
import unicodedata

_OPERATORS = frozenset("-+*/^=<>%!|(){}[]\\_")
_TOKEN = re.compile(rf"\d+(?:\.\d+)?|\.\d+|[^\W\d_]+|[{re.escape(''.join(sorted(_OPERATORS)))}]")
_DIGIT_GROUP = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
_DIAGRAM_START, _DIAGRAM_END = "[ asy ]", "[ / asy ]"
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "÷": "/", "≤": "<", "≥": ">"})


def fold(text: str) -> str:
    """Return the text as lower-case words, numbers and mathematical operators, one space between any two.

    Quotes, commas, full stops and dollars go; operators and brackets stay: "3 + 5" and "3 - 5" are different texts.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return " ".join(_TOKEN.findall(_DIGIT_GROUP.sub("", text.casefold())))


def words(folded: str) -> list[str]:
    """Return the words and numbers of a folded text, without operators and without diagram code (`[asy]`)."""
    first, *rest = folded.split(_DIAGRAM_START)
    prose = " ".join([first, *(part.rpartition(_DIAGRAM_END)[2] for part in rest)])
    return [token for token in prose.split() if token not in _OPERATORS]
