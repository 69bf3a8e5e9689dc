"""Which parts of a question are LaTeX: formulas, and code that states no quantity."""

import re
from bisect import bisect_right

Span = tuple[int, int]

# An unescaped dollar sign: `\$` is money.
_DOLLAR = r"(?<!\\)\$"
_DISPLAY = (
    r"(?<!\\)\$\$.+?(?<!\\)\$\$|\\\(.+?\\\)|\\\[.+?\\\]"
    r"|\\begin\{(?P<name>align|equation|gather|eqnarray|multline)\*?\}.+?\\end\{(?P=name)\*?\}"
)
# In LaTeX every dollar sign that is not escaped opens or closes a formula.
_LATEX_FORMULA = re.compile(rf"{_DISPLAY}|{_DOLLAR}[^$]+?(?:\\\$[^$]*?)*{_DOLLAR}", re.DOTALL)
# In plain text "$5 and $10" is money: a formula hugs its dollar signs, and no digit follows the second.
_PLAIN_FORMULA = re.compile(rf"{_DISPLAY}|{_DOLLAR}(?=\S)[^$\n]*?(?<=\S){_DOLLAR}(?!\d)", re.DOTALL)
_LATEX_SIGN = re.compile(r"\\(?:[A-Za-z$%]|\(|\[)")

_CODE = re.compile(
    r"""\[asy\].*?\[/asy\]|\[asy\].*\Z
    |https?://\S+
    |\\(?:hspace|vspace|label|ref|phantom|begin|end|color|includegraphics)\*?(?:\[[^\]]*\])?(?:\{[^{}]*\})+
    |\\\\\[[^\]]*\]""",
    re.DOTALL | re.VERBOSE,
)


def formula_spans(text: str) -> list[Span]:
    """Return the spans of the formulas in a text, their delimiters included."""
    pattern = _LATEX_FORMULA if _LATEX_SIGN.search(text) else _PLAIN_FORMULA
    return [match.span() for match in pattern.finditer(text)]


def code_spans(text: str) -> list[Span]:
    """Return the spans of drawings, addresses and layout commands: their digits are not quantities."""
    return [match.span() for match in _CODE.finditer(text)]


def span_at(position: int, spans: list[Span]) -> Span | None:
    """Return the one of some ordered, disjoint spans that holds a character, if any."""
    index = bisect_right(spans, position, key=lambda span: span[0]) - 1
    return spans[index] if index >= 0 and position < spans[index][1] else None
