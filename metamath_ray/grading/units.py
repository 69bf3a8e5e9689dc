"""Units, percent signs, currencies and trailing words: what is taken off an answer, and when it matters."""

import re
from dataclasses import dataclass
from fractions import Fraction

_SCALES: dict[str, dict[str, str]] = {
    "length": {
        "mm": "1/1000", "millimeter": "1/1000", "cm": "1/100", "centimeter": "1/100", "dm": "1/10", "m": "1",
        "meter": "1", "metre": "1", "km": "1000", "kilometer": "1000", "kilometre": "1000", "in": "254/10000",
        "inch": "254/10000", "ft": "3048/10000", "foot": "3048/10000", "feet": "3048/10000", "yd": "9144/10000",
        "yard": "9144/10000", "mi": "1609344/1000", "mile": "1609344/1000",
    },
    "mass": {
        "mg": "1/1000", "milligram": "1/1000", "g": "1", "gram": "1", "kg": "1000", "kilogram": "1000", "ton":
        "1000000", "lb": "45359237/100000", "pound": "45359237/100000", "oz": "45359237/1600000", "ounce":
        "45359237/1600000",
    },
    "time": {
        "ms": "1/1000", "s": "1", "sec": "1", "second": "1", "min": "60", "minute": "60", "h": "3600", "hr":
        "3600", "hour": "3600", "day": "86400", "week": "604800",
    },
    "long time": {"month": "1", "year": "12", "yr": "12"},
    "volume": {
        "ml": "1/1000", "milliliter": "1/1000", "cl": "1/100", "dl": "1/10", "l": "1", "liter": "1", "litre":
        "1", "gal": "3785411784/1000000000", "gallon": "3785411784/1000000000", "quart": "946352946/1000000000",
        "pint": "473176473/1000000000",
    },
    "speed": {"mph": "1609344/3600000", "kmh": "1000/3600", "kph": "1000/3600"},
    "dollar": {"$": "1", "dollar": "1", "usd": "1", "buck": "1", "cent": "1/100", "¢": "1/100"},
    "euro": {"€": "1", "euro": "1", "eur": "1"},
    "sterling": {"£": "1", "gbp": "1"},
    "yen": {"¥": "1", "yen": "1", "yuan": "1", "rmb": "1"},
    "rupee": {"₹": "1", "rupee": "1", "rs": "1"},
    "percent": {"%": "1", "percent": "1", "pct": "1", "percentage": "1"},
    "angle": {"deg": "1", "degree": "1", "°": "1"},
    "radian": {"rad": "1", "radian": "1"},
    "temperature": {"°c": "1", "celsius": "1"},
    "fahrenheit": {"°f": "1", "fahrenheit": "1"},
}  # fmt: skip
_UNITS = {name: (dimension, Fraction(scale)) for dimension, names in _SCALES.items() for name, scale in names.items()}

SINGLE_LETTERS = frozenset("smghl")
"""Unit names that are also common variables: units only beside a bare number."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A known unit: what it measures (with its power) and its size; `dimension` is "" for words that are no unit."""

    dimension: str
    scale: Fraction = Fraction(1)

    @property
    def is_percent(self) -> bool:
        """Whether this is the percent sign."""
        return self.dimension == "percent"


NO_UNIT = Unit("")

_CURRENCY = re.compile(
    r"([-+]?)\s?(?:\\\$|[$€£¥₹]|\\(?:pounds|textsterling|euro)(?![a-z])|(?:US|C|A)\\?\$|USD\s|EUR\s|Rs\.?\s)\s?"
)
_SIGNS = {"€": "€", "£": "£", "¥": "¥", "₹": "₹", "EUR": "€", "Rs": "₹", "euro": "€", "pound": "£", "sterling": "£"}
_PERCENT = re.compile(
    r"\s?\$?\s?(?:\\?%|(?:\\text\s?\{\s?)?(?:percentage points|percentage|percent|pct)\.?\s?\}?)\s?$", re.IGNORECASE
)
_DEGREE = re.compile(r"\s?(?:\^\s?\{?\s?\\circ\s?\}?|\\degree|\^\s?\{?\s?o\s?\}?|\\circ)\s?(?P<scale>[CF])?$")
_TEX_UNIT = re.compile(
    r"\s?(?:\\(?:text|mbox|textnormal|textrm|textbf|textit|mathrm|rm|operatorname|hbox|mathbf)\s?\{(?P<words>[^{}]*)\}"
    r"|\{\\rm\s(?P<old>[^{}]*)\})\s?(?:\^\s?\{?(?P<power>\d)\}?)?$"
)
_WORD_UNIT = re.compile(
    r"(?<=[\d.)}\]$\s²³])\s?\$?\s?(?P<words>(?:[^\W\d_]|[¢€£¥₹])(?:[^\W\d_]|[ ./,'()-])*?)\s?"
    r"(?:\^\s?\{?(?P<power>\d)\}?)?\$?$"
)
_MAX_UNIT_CHARS = 80
_MODULUS = re.compile(r"\s?\(?\s?\\?p?mod\s?\{?\s?(?P<modulus>\w{1,20})\s?\}?\s?\)?$")
_MARKS_OF_MODULUS = ("pmod", "(mod", "( mod", "equiv")
_ASIDE = re.compile(r"\s\([^\W\d_]{4}[^\d()\\]{0,60}\)$")
_SCALE_WORD = re.compile(r"\s?(?:dozen|hundred|thousand|million|billion|trillion)s?(?![a-z])", re.IGNORECASE)
_SIGN_AFTER = re.compile(r"\s?(?P<sign>\\\$|[$€£¥₹¢])$")
_SQUARE = re.compile(r"^(?:square|sq\.?)\s+|\s+squared$")
_CUBIC = re.compile(r"^(?:cubic|cu\.?)\s+|\s+cubed$")


def split_unit(text: str) -> tuple[str, Unit]:
    """Split a cleaned answer into what carries the value and its unit; words that are no unit are dropped."""
    currency = _CURRENCY.match(text)
    if currency and currency.end() < len(text):
        sign = next((sign for mark, sign in _SIGNS.items() if mark in currency.group()), "$")
        rest, _ = split_unit(currency.group(1) + text[currency.end() :].rstrip("$"))
        return rest, lookup(sign)
    return _split_end(text)


def _split_end(text: str) -> tuple[str, Unit]:
    """Take one mark off the end, or words; an aside in words is no part of either."""
    text = _ASIDE.sub("", text)
    modulus = _MODULUS.search(text) if any(mark in text for mark in _MARKS_OF_MODULUS) else None
    if modulus and modulus.start() > 0:
        return text[: modulus.start()], Unit(f"mod {modulus['modulus']}")
    percent = _PERCENT.search(text)
    if percent and percent.start() > 0:
        return text[: percent.start()].rstrip("\\ "), lookup("%")
    degree = _DEGREE.search(text)
    if degree and degree.start() > 0:
        return text[: degree.start()], lookup("°" + (degree["scale"] or "").lower())
    sign = _SIGN_AFTER.search(text)
    if sign and sign.start() > 0:
        return text[: sign.start()], lookup(sign["sign"].strip("\\"))
    return _split_words(text)


def _split_words(text: str) -> tuple[str, Unit]:
    """Take a unit in words off the end."""
    words = _TEX_UNIT.search(text)
    if words and words.start() > 0:
        name = words["words"] or words["old"] or ""
        if _SCALE_WORD.match(name):
            return text, NO_UNIT
        return text[: words.start()].rstrip("\\ "), lookup(name, words["power"])
    words = _WORD_UNIT.search(text, max(0, len(text) - _MAX_UNIT_CHARS))
    if words and words.start() > 0:
        return _without_words(text, words.start(), lookup(words["words"], words["power"]), words["words"])
    return text, NO_UNIT


def _without_words(text: str, start: int, unit: Unit, words: str) -> tuple[str, Unit]:
    """Take the words off, but not "million", which belongs to the value."""
    scale = _SCALE_WORD.match(words)
    if scale is None:
        return text[:start].rstrip("\\ "), unit
    end = text.index(words, start) + scale.end()
    return text[:end], lookup(words[scale.end() :])


def lookup(words: str, power: str | None = None) -> Unit:
    """Find the unit that the words name; `NO_UNIT` when they name none."""
    name = words.strip(" .,()").lower()
    exponent = int(power) if power else 1
    if _SQUARE.search(name):
        name, exponent = _SQUARE.sub("", name), 2
    elif _CUBIC.search(name):
        name, exponent = _CUBIC.sub("", name), 3
    for separator in ("/", " per "):
        over, found, under = name.partition(separator)
        if found:
            return _rate(lookup(over), lookup(under))
    known = _UNITS.get(name) or _UNITS.get(name.removesuffix("s")) or _UNITS.get(name.removesuffix("es"))
    if known is None:
        return NO_UNIT
    dimension, scale = known
    return Unit(dimension if exponent == 1 else f"{dimension}^{exponent}", scale**exponent)


def _rate(over: Unit, under: Unit) -> Unit:
    if not over.dimension or not under.dimension:
        return NO_UNIT
    if (over.dimension, under.dimension) == ("length", "time"):
        return Unit("speed", over.scale / under.scale)
    return Unit(f"{over.dimension}/{under.dimension}", over.scale / under.scale)
