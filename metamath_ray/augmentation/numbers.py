"""Where a text states numbers: the digit forms here, the word forms in `number_words`, both as `Mention`s."""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from metamath_ray.augmentation.latex import Span, code_spans, formula_spans, span_at
from metamath_ray.augmentation.number_words import AND_PART, PARTS, SCALES, find_word_numbers

_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
# Longer runs of digits are codes, and Python refuses to read the longest of them.
_DIGITS = r"\d{1,30}"
_ARGUMENT = rf"(?:\{{\s*({_DIGITS})\s*\}}|(\d))"
_LATEX_FRACTION = re.compile(rf"(?:({_DIGITS})\s*)?\\[dt]?frac\s*{_ARGUMENT}\s*{_ARGUMENT}")
_SLASH_FRACTION = re.compile(rf"(?:({_DIGITS})([ -]))?({_DIGITS})/({_DIGITS})(?:ths?|rds?|nds?)?(?![\w/^]|\.\d)")
_VULGAR_FRACTION = re.compile(rf"(?:({_DIGITS}) ?)?([{_VULGAR}])")
_DECIMAL = re.compile(
    rf"""(?P<digits>[1-9]\d{{0,2}}(?:(?:,\\!|\\!,|\{{,\}}|\\,|,)\d{{3}}){{1,9}}(?!\d)(?:\.{_DIGITS})?
     | {_DIGITS}(?:\.{_DIGITS})? | \.{_DIGITS})
     (?:[ -](?P<scale>{"|".join(SCALES)})\b)?
     (?:{AND_PART})?""",
    re.VERBOSE | re.IGNORECASE,
)
# How many characters around a number decide what it is; bounded, so that a long text is read in linear time.
_CONTEXT = 80
_START = re.compile(rf"\d|(?<![\d\w.])\.\d|\\[dt]?frac|[{_VULGAR}]")

_UNIT = re.compile(
    r"(?:[mc]?m|km|in|ft|yd|mi|m?g|kgs?|lbs?|oz|[mcd]?l|gal|secs?|mins?|h|hrs?|am|pm|[mk]ph|kmh|[cfvjn]|k?wh?|hz|[mgtk]b|cc)"
    r"(?![A-Za-z_])",
    re.IGNORECASE,
)
_RELATION_BEFORE = re.compile(
    r"\\(?:le|ge|leq|geq|lt|gt|neq?|times|cdot|div|to|in|approx|equiv|left|pm|mp|quad|rightarrow|[(\[])\s*$"
)
_SIGNED_AFTER = frozenset("(=,{[<>&|:+*/·×")
_CONTROL_WORD = re.compile(r"\\([A-Za-z]+)\s*$")
_NAME_BEFORE = re.compile(r"(?:[A-Za-z_#]|[A-Za-z][-–]|\d\.?)$")
_SCRIPT_BEFORE = re.compile(r"(?:[_^]|\\overline)\s*(?:\{[^{}]*)?$")
_ENDLESS_AFTER = re.compile(r"\.?\\overline|\.?\{?\\l?dots|\.\.\.|…")
_ORDINAL_AFTER = re.compile(r"\^?\s*\{?\s*\\(?:text|textrm|mathrm|rm)\s*\{?\s*-?(?:st|nd|rd|th)\b")
_DATE_OR_IDIOM = re.compile(r"\b\d{1,4}/\d{1,2}/\d{1,4}\b|\b24/7\b")
_DATE_CLOCK_OR_IDIOM = re.compile(rf"{_DATE_OR_IDIOM.pattern}|\b\d{{1,2}}:\d{{2}}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A number in a text. It can be hidden unless it is part of a name, a date, a clock time, an index or a power."""

    start: int
    end: int
    value: Fraction
    is_maskable: bool


def find_mentions(text: str) -> list[Mention]:
    """Return every number that a text states, in order and without overlaps, also those that cannot be hidden."""
    words = (
        Mention(start=w.start, end=w.end, value=w.value, is_maskable=w.is_maskable) for w in find_word_numbers(text)
    )
    code = code_spans(text)
    mentions: list[Mention] = []
    for mention in sorted([*_digit_mentions(text), *words], key=lambda m: (m.start, -m.end)):
        if not span_at(mention.start, code) and (not mentions or mention.start >= mentions[-1].end):
            mentions.append(mention)
    return mentions


def plain_number(value: Fraction, *, as_decimal: bool) -> str:
    """Write a number as an answer: "1250", "5.5" where it was written as a decimal, "11/2" where it was not."""
    if value.denominator == 1:
        return str(value.numerator)
    if as_decimal:
        return format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    return f"{value.numerator}/{value.denominator}"


def _digit_mentions(text: str) -> list[Mention]:
    formulas = formula_spans(text)
    pattern = _DATE_OR_IDIOM if "ratio" in text.lower() else _DATE_CLOCK_OR_IDIOM
    unhidable = [match.span() for match in pattern.finditer(text)]
    mentions: list[Mention] = []
    position = 0
    while match := _START.search(text, position):
        formula = span_at(match.start(), formulas)
        start, (position, value) = match.start(), _read_number(text, match.start(), in_formula=formula is not None)
        if value is None:
            continue
        is_maskable = not span_at(start, unhidable) and _stands_alone(text, start, position, formula)
        if is_maskable and _is_negative(text, start, formula):
            start, value = start - 1, -value
        mentions.append(Mention(start=start, end=position, value=value, is_maskable=is_maskable))
    return mentions


def _read_number(text: str, start: int, *, in_formula: bool) -> tuple[int, Fraction | None]:
    """Read the longest number that begins here; return its end and value (None when it is none after all)."""
    if match := _LATEX_FRACTION.match(text, start):
        whole, over, over_digit, under, under_digit = match.groups()
        return match.end(), _mixed(whole, over or over_digit, under or under_digit)
    if match := _SLASH_FRACTION.match(text, start):
        whole, joint, over, under = match.groups()
        is_one_number = whole is None or (int(over) < int(under) and not (joint == "-" and in_formula))
        if is_one_number and int(under) > 0:
            return match.end(), _mixed(whole, over, under)
    if match := _VULGAR_FRACTION.match(text, start):
        part = Fraction(unicodedata.numeric(match[2])).limit_denominator(10)
        return match.end(), int(match[1] or 0) + part
    if match := _DECIMAL.match(text, start):
        number = Fraction(re.sub(r"[^\d.]", "", match["digits"]))
        scale = SCALES[match["scale"].lower()] if match["scale"] else 1
        fraction = match["part"] or match["half"]
        return match.end(), number * scale + (PARTS[fraction.lower()] if fraction else 0)
    return start + 1, None


def _mixed(whole: str | None, over: str, under: str) -> Fraction | None:
    return None if int(under) == 0 else int(whole or 0) + Fraction(int(over), int(under))


def _stands_alone(text: str, start: int, end: int, formula: Span | None) -> bool:
    """Whether the digits are a quantity of their own: no piece of a name, an index, a power or a list."""
    before, after = text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
    if (
        after[:1].isdigit()
        or _SCRIPT_BEFORE.search(before)
        or _ENDLESS_AFTER.match(after)
        or _ORDINAL_AFTER.match(after)
    ):
        return False
    if formula:
        is_list = "," in text[start:end] and "{" not in text[start:end] and before.endswith(("(", "{", "["))
        is_name = re.search(r"[A-Za-z]$", before) and not _CONTROL_WORD.search(before)
        return not is_list and not is_name and not re.search(r"\d\.?$", before)
    is_part_of_word = re.match(r"[A-Za-z_]", after) and not _UNIT.match(after)
    return not is_part_of_word and not _NAME_BEFORE.search(before)


def _is_negative(text: str, start: int, formula: Span | None) -> bool:
    """Whether the character before is a sign, and not a hyphen, a dash or a subtraction."""
    if start == 0 or text[start - 1] not in "-−":
        return False
    before = text[max(0, start - 1 - _CONTEXT) : start - 1]
    if formula is None:
        return bool(re.search(r"(?:^|[\s(=,:$])$", before)) and not re.search(r"\d\s*$", before)
    left = text[max(formula[0], start - 1 - _CONTEXT) : start - 1].lstrip("$").rstrip()
    return not left or left[-1] in _SIGNED_AFTER or bool(_RELATION_BEFORE.search(left))
