r"""The `\boxed{}` answers of a completion: nested, unclosed, without braces, several that form one answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from metamath_ray.grading.surface import unwrap

BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s{0,8}")
_MAX_BOXES = 64
_MAX_BOX_CHARS = 4_000
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\\[a-zA-Z]+(?:\{[^{}]*\}){0,2}|[^\s$.,\\]+")
_PERCENT = re.compile(r"\s?\$?\s?(?:\\?%|percent|pct)")
_SENTENCE_BREAK = re.compile(r"[.。]\s|\n\s*\n")
_NO_WORDS = re.compile(r"\\text|\\quad|\$[^$]*=|\\\([^)]*=")
_CONJUNCTION = re.compile(r"\b(?:and|or)\b")
_WORD = re.compile(r"[A-Za-z]+")

MAX_JOIN_CHARS = 45
MAX_JOIN_WORDS = 4
"""Boxes that so little stands between, with "and" or "or" or no word at all, are parts of one answer."""


@dataclass(frozen=True, slots=True)
class Boxed:
    """The last group of boxes of a text.

    Attributes:
        start: Where the last of them stands.
        parts: Their contents, in order.
    """

    start: int
    parts: tuple[str, ...]


def last_boxes(text: str) -> Boxed | None:
    r"""Return the last group of boxes: "\boxed{1} and \boxed{2}" is one answer of two parts."""
    spans = [span for span in box_spans(text) if span[2].strip(" {}$")]
    if not spans:
        return None
    group = [spans[-1]]
    for span in reversed(spans[:-1]):
        if not _are_joined(text[span[1] : group[0][0]]):
            break
        group.insert(0, span)
    parts = [unwrap(span[2]) for span in group]
    if len(parts) == 1 and _PERCENT.match(text, group[0][1]):
        parts[0] += r"\%"
    return Boxed(group[-1][0], tuple(parts))


def box_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and content of the last boxes, outermost only; an unclosed box ends with its line."""
    end = 0
    for box in list(BOX.finditer(text))[-_MAX_BOXES:]:
        if box.start() < end:
            continue
        if text.startswith("{", box.end()):
            close = _closing_brace(text, box.end())
            end = min(close + 1, len(text))
            yield box.start(), end, text[box.end() + 1 : close]
        else:
            bare = _BARE.match(text, box.end())
            if bare:
                yield box.start(), bare.end(), bare.group()


def _closing_brace(text: str, start: int) -> int:
    """Return the place of the brace that closes the one at `start`; the end of its line when none does."""
    depth, limit = 0, start + _MAX_BOX_CHARS
    for brace in _BRACE.finditer(text, start, limit):
        if brace.group() in "{}":
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                return brace.start()
    line_end = text.find("\n", start, limit)
    return min(limit, len(text)) if line_end < 0 else line_end


def _are_joined(between: str) -> bool:
    """Whether two boxes with this text between them are parts of one answer."""
    if len(between) > MAX_JOIN_CHARS or _SENTENCE_BREAK.search(between):
        return False
    words = _WORD.findall(_NO_WORDS.sub(" ", between))
    return not words or (len(words) <= MAX_JOIN_WORDS and _CONJUNCTION.search(between) is not None)
