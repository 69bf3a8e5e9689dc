"""Quantities of several units: "2 hours 30 minutes", "18 dollars and 50 cents", "5 feet 6 inches"."""

import re
from fractions import Fraction
from itertools import pairwise

from metamath_ray.grading.numbers import Number, read_number
from metamath_ray.grading.units import Unit, lookup
from metamath_ray.grading.words import unwrapped

_MAX_CHARS = 120
_PART = re.compile(
    r"(?P<sign>\\?\$)?\s?(?P<number>\d[\d,]{0,20}(?:\.\d{1,20})?)\s{0,2}(?P<unit>(?!and\b)[a-z]{0,12})\.?"
    r"(?:\s?,)?\s{0,2}(?:(?:and|&)\s)?\s?",
    re.IGNORECASE,
)


def read_compound(text: str) -> tuple[Number, Unit] | None:
    """Return the sum of the parts in the first of their units; None unless each unit is smaller than the last."""
    text = unwrapped(text).strip()
    parts: list[tuple[Fraction, Unit]] = []
    place = 0
    while place < len(text) <= _MAX_CHARS:
        part = _PART.match(text, place)
        number = read_number(part["number"]) if part else None
        if part is None or number is None or (part["sign"] and part["unit"]):
            return None
        parts.append((number.value, lookup(part["unit"] or part["sign"] or "")))
        place = part.end()
    units = [unit for _, unit in parts]
    if len(units) < 2 or not units[0].dimension or any(unit.dimension != units[0].dimension for unit in units):
        return None
    if any(larger.scale <= smaller.scale for larger, smaller in pairwise(units)):
        return None
    return Number(sum((value * unit.scale for value, unit in parts), Fraction(0)) / units[0].scale), units[0]
