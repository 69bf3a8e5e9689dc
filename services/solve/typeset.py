r"""Text with LaTeX in it → HTML with MathML: $…$, $$…$$, \(…\), \[…\], and a bare \boxed{…}.

Everything is escaped here: `latex2mathml` writes its XML unescaped, so its tree is taken and written anew, with the
elements and attributes of MathML that cannot do anything.
"""

import re
from collections.abc import Iterator
from html import escape, unescape
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter

MAX_FORMULA_CHARS = 1_000
"""A longer formula is shown as it is."""
MAX_FORMULAS = 500
"""So are those after so many."""

_FORMULA = re.compile(
    r"\$\$(?P<display>[^$]+)\$\$"
    r"|\$(?P<inline>(?!\s)[^$\n]+(?<!\s))\$(?!\d)"  # as Pandoc has it, so that "$5 and $6" is money
    r"|\\\((?P<round>.{1,1000}?)\\\)|\\\[(?P<square>.{1,1000}?)\\\]",
    re.DOTALL,
)
_DEFINES = re.compile(r"\\(def|let|newcommand|renewcommand|newenvironment|DeclareMathOperator)")
"""Definitions that call each other grow a short formula without end."""
_BOXED = re.compile(r"\\f?boxed\s*\{")
_WORD = re.compile(r"\w+")
_ELEMENTS = frozenset(
    _WORD.findall(
        "math menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow ms mspace "
        "msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder munderover none"
    )
)
_ATTRIBUTES = frozenset(
    _WORD.findall(
        "accent accentunder columnalign columnlines columnspacing depth display displaystyle fence form height largeop "
        "linethickness lspace mathvariant maxsize minsize movablelimits notation rowlines rowspacing rspace "
        "scriptlevel separator stretchy symmetric voffset width"
    )
)


def typeset(text: str) -> str:
    """Return the text as HTML; LaTeX that cannot be read stays as it was written."""
    return "".join(
        _mathml(source, is_display=is_display) or escape(shown) if number < MAX_FORMULAS and source else escape(shown)
        for number, (shown, source, is_display) in enumerate(_pieces(text))
    )


def _pieces(text: str) -> Iterator[tuple[str, str, bool]]:
    """Cut the text; yields each piece as it is written, its formula ("" for none), and whether that is displayed."""
    place = 0
    for found in _FORMULA.finditer(text):
        yield from _boxes(text[place : found.start()])
        kind = found.lastgroup or ""
        yield found[0], found[kind], kind in ("display", "square")
        place = found.end()
    yield from _boxes(text[place:])


def _boxes(text: str) -> Iterator[tuple[str, str, bool]]:
    """Cut text without delimiters at its boxes, which are formulas without them."""
    place = 0
    while found := _BOXED.search(text, place):
        end = _closing_brace(text, found.end())
        if end is None:
            break
        yield text[place : found.start()], "", False
        yield text[found.start() : end], text[found.start() : end], False
        place = end
    yield text[place:], "", False


def _closing_brace(text: str, start: int) -> int | None:
    """Return where the group that was opened before `start` has ended; None if it does not, or is too long."""
    depth = 1
    for place, character in enumerate(text[start : start + MAX_FORMULA_CHARS], start=start):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return place + 1
    return None


def _mathml(latex: str, *, is_display: bool) -> str | None:
    if len(latex) > MAX_FORMULA_CHARS or _DEFINES.search(latex):
        return None
    try:
        return _write(Converter(display="block" if is_display else "inline").convert_to_element(latex))
    except Exception:  # any text may come, and the library has no one error for what it cannot read
        return None


def _write(element: Element) -> str:
    """Write an element and all in it; what is not on the list is left out, its text kept."""
    inner = _text(element.text) + "".join(_write(child) + _text(child.tail) for child in element)
    if element.tag not in _ELEMENTS:
        return inner
    attributes = "".join(
        f' {name}="{escape(unescape(value))}"' for name, value in element.attrib.items() if name in _ATTRIBUTES
    )
    return f"<{element.tag}{attributes}>{inner}</{element.tag}>"


def _text(text: str | None) -> str:
    """Escape a text in which the library has written some characters as entities."""
    return escape(unescape(text or ""))
