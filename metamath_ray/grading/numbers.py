"""Numbers as people write them, read into exact values."""

import re
from dataclasses import dataclass
from fractions import Fraction

from metamath_ray.grading.limits import MAX_DIGITS, MAX_EXPONENT


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value and how it was written.

    Attributes:
        places: Digits after the point, -1 for an integer or a fraction.
        significant: Significant digits as written (0 where `places` is -1).
    """

    value: Fraction
    places: int = -1
    significant: int = 0

    def times(self, factor: Fraction) -> "Number":
        """Return the number in a unit that is `factor` times as small; it is no rounding any more."""
        return self if factor == 1 else Number(self.value * factor)


_PLAIN = re.compile(r"[-+]?\d+\Z")
_PLAIN_DECIMAL = re.compile(r"-?\d+\.\d+\Z")
_GROUPED = (
    re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?P<point>\.\d*)?\Z"),
    re.compile(r"\d{1,3}(?: \d{3})+(?P<point>[.,]\d+)?\Z"),
    re.compile(r"\d{1,3}(?:'\d{3})+(?P<point>[.,]\d+)?\Z"),
    re.compile(r"\d{1,3}(?:_\d{3})+(?P<point>\.\d+)?\Z"),
    re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}(?P<point>\.\d+)?\Z"),
    re.compile(r"\d{1,3}(?:\.\d{3})+(?P<point>,\d+)\Z"),
    re.compile(r"\d{1,3}(?:\.\d{3}){2,}\Z"),
)
_DECIMAL = re.compile(r"(?:\d+\.\d*|\.\d+)\Z")
_DECIMAL_COMMA = re.compile(r"(?:\d+,\d{1,2}|\d+,\d{4,}|0,\d+|\d{4,},\d+)\Z")
_SCIENTIFIC = re.compile(
    r"(?P<mantissa>[\d.,]+)(?:[eE]|\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?)\{?(?P<power>[-+]?\d+)\}?\Z"
)
_FRACTION = re.compile(r"(?P<over>[\d,.]+)\s?/\s?(?P<under>[\d,.]+)\Z")
_TEX_FRACTION = re.compile(r"\\frac\s?(?:\{(?P<a>[^{}]+)\}|(?P<b>\d))\s?(?:\{(?P<c>[^{}]+)\}|(?P<d>\d))\Z")
_MIXED = re.compile(r"(?P<whole>\d+)(?:\s?(?=\\frac)|\s+(?:and\s+)?|\s?&\s?)(?P<part>\d+\s?/\s?\d+|\\frac.+)\Z")
_BASED = re.compile(r"(?=[A-Z]{0,9}\d)(?=\d{0,40}[A-Z])(?P<digits>[\dA-Z]{1,40})_\{?(?P<base>\d\d)\}?\Z")
_REPEATING = re.compile(r"(?P<head>\d*\.\d*)\\overline\s?\{(?P<cycle>\d+)\}\Z")


def read_number(text: str) -> Number | None:
    """Read one signed number without unit: grouped, decimal, fraction, mixed, scientific or repeating."""
    text = text.strip()
    if _PLAIN.match(text):
        return Number(Fraction(int(text))) if len(text) <= MAX_DIGITS else None
    if _PLAIN_DECIMAL.match(text):
        return _decimal(text) if text[0] != "-" else _negative(_decimal(text[1:]))
    if not text or len(text) > 2 * MAX_DIGITS:
        return None
    if text[0] in "+-":
        number = read_number(text[1:]) if text[1:2] not in ("+", "-") else None
        return number if text[0] == "+" else _negative(number)
    return _read_unsigned(text)


def _negative(number: Number | None) -> Number | None:
    return None if number is None else Number(-number.value, number.places, number.significant)


def _read_unsigned(text: str) -> Number | None:  # noqa: PLR0911
    """Try each way of writing, the most common first."""
    decimal = read_decimal(text)
    if decimal is not None:
        return decimal
    scientific = _SCIENTIFIC.match(text)
    if scientific:
        return _scientific(scientific["mantissa"], int(scientific["power"][:8]))
    fraction = _FRACTION.match(text)
    if fraction:
        return _quotient(fraction["over"], fraction["under"])
    fraction = _TEX_FRACTION.match(text)
    if fraction:
        return _quotient(fraction["a"] or fraction["b"], fraction["c"] or fraction["d"])
    mixed = _MIXED.match(text)
    if mixed:
        return _mixed(int(mixed["whole"]), mixed["part"])
    based = _BASED.match(text)
    if based:
        return _based(based["digits"], int(based["base"]))
    repeating = _REPEATING.match(text)
    if repeating:
        return _repeating(repeating["head"], repeating["cycle"])
    return None


def read_decimal(text: str) -> Number | None:
    """Read an unsigned integer or decimal with any thousands separators."""
    if _DECIMAL.match(text):
        return _decimal(text)
    for pattern in _GROUPED:
        grouped = pattern.match(text)
        if grouped:
            point = grouped.groupdict().get("point") or ""
            whole = re.sub(r"\D", "", text[: len(text) - len(point)])
            return _decimal(whole + point.replace(",", "."))
    if _DECIMAL_COMMA.match(text):
        return _decimal(text.replace(",", "."))
    return Number(Fraction(int(text))) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def _decimal(text: str) -> Number | None:
    if sum(character.isdecimal() for character in text) > MAX_DIGITS:
        return None
    whole, _, part = text.partition(".")
    if not part:
        return Number(Fraction(int(whole)))
    digits = (whole + part).lstrip("0")
    return Number(Fraction(int(whole + part), 10 ** len(part)), len(part), len(digits))


def _scientific(mantissa: str, power: int) -> Number | None:
    number = read_decimal(mantissa)
    if number is None or abs(power) > MAX_EXPONENT:
        return None
    return Number(
        number.value * Fraction(10) ** power, number.places - power if number.places > power else -1, number.significant
    )


def _quotient(over: str, under: str) -> Number | None:
    top, bottom = read_number(over), read_number(under)
    if top is None or bottom is None or bottom.value == 0:
        return None
    return Number(top.value / bottom.value)


def _mixed(whole: int, part: str) -> Number | None:
    fraction = read_number(part)
    if fraction is None or fraction.places >= 0 or not 0 < fraction.value < 1:
        return None
    return Number(whole + fraction.value)


def _based(digits: str, base: int) -> Number | None:
    """Read digits beyond 9: "1F_{16}"."""
    is_valid = 10 < base <= 36 and all(int(digit, 36) < base for digit in digits)
    return Number(Fraction(int(digits, base))) if is_valid else None


def _repeating(head: str, cycle: str) -> Number | None:
    start = read_decimal(head + "0" if head.endswith(".") else head)
    if start is None or len(cycle) > MAX_DIGITS:
        return None
    places = len(head.partition(".")[2])
    return Number(start.value + Fraction(int(cycle), (10 ** len(cycle) - 1) * 10**places))


MIN_ROUNDED_PLACES = 2
MIN_ROUNDED_DIGITS = 2
"""A decimal may stand for an exact value from two places and two digits on: 0.33 for 1/3, but not 0.3."""

PRINTED_DIGITS = 12
"""A decimal of so many digits is a machine's printout of an exact value, itself open to rounding."""

NOISE_DIGITS = 15
"""From so many digits on, the last ones are the noise of machine arithmetic."""


def same_number(a: Number, b: Number) -> bool:
    """Whether two numbers are equal, or one is the other rounded: see docs/grading.md, "Rounded decimals"."""
    if a.value == b.value:
        return True
    if max(a.significant, b.significant) >= NOISE_DIGITS and max(a.places, b.places) > 0:
        return bool(abs(a.value - b.value) * 10 ** (NOISE_DIGITS - 1) <= max(abs(a.value), abs(b.value)))
    return any(_stands_for(rounded, exact) for rounded, exact in ((a, b), (b, a)))


def _stands_for(rounded: Number, exact: Number) -> bool:
    """Whether a decimal is the rounding of a value that no decimal of its own length could state."""
    if rounded.places < MIN_ROUNDED_PLACES or rounded.significant < MIN_ROUNDED_DIGITS:
        return False
    if exact.significant >= PRINTED_DIGITS and exact.places > rounded.places:
        return rounds_to(exact.value, rounded)
    return exact.places < 0 and not _terminates(exact.value) and rounds_to(exact.value, rounded)


def rounds_to(exact: Fraction, rounded: Number) -> bool:
    """Whether a decimal is the exact value rounded half up (or half even) to the places that it is written with."""
    return bool(abs(exact - rounded.value) * 2 * 10**rounded.places <= 1)


def _terminates(value: Fraction) -> bool:
    """Whether a fraction is a finite decimal."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1
