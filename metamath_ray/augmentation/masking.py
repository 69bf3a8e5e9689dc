"""Hiding one number of a question behind a variable (MetaMath, arXiv 2309.12284, section 3.3)."""

import re
from collections import Counter
from itertools import chain, count

from metamath_ray.augmentation.latex import formula_spans, span_at
from metamath_ray.augmentation.numbers import Mention, find_mentions, plain_number
from metamath_ray.types import Mask

_VARIABLES = "xyznmkwuvpqrst"
_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
_MULTIPLES = ("twice", "thrice")
_OWNED = re.compile(r"\s+(?:the|an?|this|that|these|those|what|his|her|their|its|my|your|our)\b")


def find_masks(question: str) -> list[Mask]:
    """Return every number of a question that can be hidden, in order.

    Currency, percent sign and unit stay outside of the mask; sign, thousands separators, fraction bar and the words of
    one number ("one hundred and twenty") belong to it. What is a number is written down in docs/augmentation.md.
    """
    mentions = find_mentions(question)
    times = Counter(mention.value for mention in mentions)
    variable = unused_variable(question)
    return [
        Mask(
            start=mention.start,
            end=mention.end,
            text=question[mention.start : mention.end],
            value=_answer(question, mention),
            variable=variable,
            is_ambiguous=times[mention.value] > 1,
        )
        for mention in mentions
        if mention.is_maskable
    ]


def apply_mask(question: str, mask: Mask) -> str:
    r"""Put the mask's variable where its number stands, so that the sentence still reads.

    "twice as many" becomes "x times as many", "half the eggs" becomes "x of the eggs", "\cdot2y" becomes "\cdot x y".

    Raises:
        ValueError: The mask belongs to another question.
    """
    if question[mask.start : mask.end] != mask.text:
        raise ValueError(f"the mask of {mask.text!r} belongs to another question")
    before, after = question[: mask.start], question[mask.end :]
    variable = mask.variable
    if mask.text.lower() in _MULTIPLES:
        variable += " times"
    elif "/" in mask.value and _OWNED.match(after) and not span_at(mask.start, formula_spans(question)):
        variable += " of"
    if re.search(r"\\[A-Za-z]+$", before):
        variable = " " + variable
    if re.match(r"[A-Za-z]", after):
        variable += " "
    return before + variable + after


def unused_variable(question: str) -> str:
    """Return "x", or the next name that does not stand alone in the question or occur in one of its formulas."""
    used = set(re.findall(r"(?<![A-Za-z\\])[A-Za-z]\d*(?![A-Za-z])", question))
    used |= set("".join(re.findall(r"(?<![A-Za-z])[b-df-hj-np-tv-z]{2,3}(?![A-Za-z])", question)))  # "xy = 6"
    for start, end in formula_spans(question):
        used |= set(re.findall(r"[A-Za-z]", _COMMAND.sub(" ", question[start:end])))
    names = chain(_VARIABLES, (f"x{index}" for index in count(1)))
    return next(name for name in names if name not in used)


def _answer(question: str, mention: Mention) -> str:
    text = question[mention.start : mention.end]
    return plain_number(mention.value, as_decimal="." in text)
