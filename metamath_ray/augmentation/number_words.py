"""Numbers written as words: "Twenty-five", "one hundred and twenty", "two thirds", "half", "twice", "a dozen".

The rules for what is a number and what only looks like one are listed in docs/augmentation.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_U = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_T = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_P = "half|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth"
_CARDINALS = {"zero": 0, "a": 1, "an": 1}
_CARDINALS |= {word: n for n, word in enumerate(f"{_U}|{_TEENS}".split("|"), start=1)}
_CARDINALS |= {word: 10 * n for n, word in enumerate(_T.split("|"), start=2)}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {word: Fraction(1, n) for word, n in zip(_P.split("|"), (2, 3, 4, 4, 5, 6, 7, 8, 9, 10), strict=True)}
_OTHERS = {"half": Fraction(1, 2), "twice": Fraction(2), "thrice": Fraction(3), "dozen": Fraction(12)}
_VERBS = {"double": Fraction(2), "triple": Fraction(3), "quadruple": Fraction(4)}

_S = "|".join(SCALES)
_SMALL = rf"(?:(?:{_T})(?:-(?:{_U})|\s(?:{_U})(?![\w-]))?|{_TEENS}|{_U}|zero)\b"
AND_PART = rf"[\s-]and[\s-](?:(?:an?|one)[\s-](?P<part>{_P})|(?P<half>half))\b"
_CARDINAL = re.compile(
    rf"""(?P<whole>(?:{_SMALL}|an?)(?:[\s-](?:{_S})\b)+(?:[\s-](?:{_SMALL})(?:[\s-](?:{_S})\b)+)*
        (?:[\s-](?:and[\s-])?{_SMALL}(?!-[a-z]))? | {_SMALL}) (?:{AND_PART})?""",
    re.IGNORECASE | re.VERBOSE,
)
_FRACTION = re.compile(rf"(?P<over>{_U}|an?)(?P<joint>[\s-])(?P<under>{_P})(?P<plural>s?)\b(?!\s+grade)", re.IGNORECASE)
_OTHER = re.compile(r"(?:a\s)?dozen\b|half\b|twice\b|thrice\b|(?:doubl|tripl|quadrupl)(?:e[sd]?|ing)\b", re.IGNORECASE)
_FIRST = re.compile(
    rf"(?<![\w\\])(?=(?:an?|zero|{_U}|{_TEENS}|{_T}|dozen|half|twice|thrice|doubl\w+|tripl\w+|quadrupl\w+)\b)",
    re.IGNORECASE,
)

_PART_OF = re.compile(r"\s+(?:of|as|the|that|this|what|his|her|their|its|my|your|our|more|less|full)\b", re.IGNORECASE)
_PER = re.compile(r"(?:\d|\bcents?|\bdollars?|\bhalf|\beach)\s*$", re.IGNORECASE)
_HALF_THING_BEFORE = re.compile(
    r"\b(?:other|another|first|second|latter|last|next|each|either|this|that|remaining|better|top|bottom|upper|lower|left|"
    r"right|front|back|in)[\s-]$",
    re.IGNORECASE,
)
_HALF_MORE_BEFORE = re.compile(r"\band[\s-]$", re.IGNORECASE)
_HALF_THING_AFTER = re.compile(r"[\s-](?:time|life|brothers?|sisters?|past|marathons?)\b", re.IGNORECASE)
_ONE_PRONOUN_BEFORE = re.compile(
    r"\b(?:no|any|every|each|another|which|what|some|other|last|next|first|second|this|that|these|"
    r"(?:the|this|that|an?|every|each|another)(?:\s+[a-z]+)?)\s+$",
    re.IGNORECASE,
)
_ONE_PRONOUN_AFTER = re.compile(
    r"\s*(?:$|[.,;:!?)\"'’]|-(?:way|on|by|time|off|sided|another)\b"
    r"|\s(?:of|is|are|was|were|has|had|who|that|which|another|and|or|but|in|on|at|for|to|with|from|by|if|as|than|can|will|"
    r"would|could|should|must|may|did|does|do|when|while|where|because|so|after|before|until|side|way|point|time)\b"
    r"|\s(?!\w*(?:ss|us)\b)\w+s\b)",
    re.IGNORECASE,
)
_ONE_AND_ANOTHER = re.compile(r"\b(?:another|the other|the second)\b", re.IGNORECASE)
_ONE_DAY = re.compile(r"\s(?:day|night|morning|evening|afternoon|summer|winter|weekend)\b", re.IGNORECASE)
_DURATION_BEFORE = re.compile(
    r"\b(?:in|for|within|after|than|only|just|least|most|takes?|took|lasts?|and|or)\s+$", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNumber:
    """A number in words; `is_maskable` is False where a variable in its place would not read as a quantity."""

    start: int
    end: int
    value: Fraction
    is_maskable: bool


def find_word_numbers(text: str) -> Iterator[WordNumber]:
    """Yield the numbers of a text that are written as words; pronouns ("one of them") are none."""
    end = 0
    for first in _FIRST.finditer(text):
        start = first.start()
        if start < end:
            continue
        number = _fraction(text, start) or _cardinal(text, start) or _other(text, start)
        if number:
            end = number.end
            yield number


def _fraction(text: str, start: int) -> WordNumber | None:
    match = _FRACTION.match(text, start)
    if not match:
        return None
    over, under = _CARDINALS[match["over"].lower()], match["under"].lower()
    is_spaced = match["joint"] != "-"
    is_article = match["over"].lower() in ("a", "an")
    is_coin = under == "quarter" and is_spaced
    is_ordinal = over > 1 and not match["plural"] and is_spaced
    needs_of = (is_article and under != "half") or is_coin or is_ordinal
    if needs_of and not _PART_OF.match(text, match.end()):
        return None
    is_maskable = under != "half" or _is_quantity_half(text, start, match.end())
    return WordNumber(start=start, end=match.end(), value=over * PARTS[under], is_maskable=is_maskable)


def _cardinal(text: str, start: int) -> WordNumber | None:
    match = _CARDINAL.match(text, start)
    if not match:
        return None
    if match.group().lower() == "one" and not _is_quantity_one(_before(text, start), text[match.end() :]):
        return None
    word = match["part"] or match["half"]
    part = PARTS[word.lower()] if word else 0
    is_maskable = not (match.group().lower().startswith("a") and _PER.search(_before(text, start)))
    return WordNumber(start=start, end=match.end(), value=_whole(match["whole"]) + part, is_maskable=is_maskable)


def _whole(words: str) -> Fraction:
    total = current = 0
    for word in re.split(r"[\s-]+", words.lower()):
        if word == "hundred":
            current = (current or 1) * 100
        elif word in SCALES:
            total, current = total + (current or 1) * SCALES[word], 0
        elif word != "and":
            current += _CARDINALS[word]
    return Fraction(total + current)


def _is_quantity_one(before: str, after: str) -> bool:
    """Tell "one cup" from "one of them", "the red one", "no one", "one day, …", "one boy … another", "One boy …"."""
    if _ONE_PRONOUN_AFTER.match(after):
        return False
    if after.startswith("-"):
        return True
    begins_sentence = not before.strip() or before.rstrip()[-1] in ".?!"
    if begins_sentence or _ONE_PRONOUN_BEFORE.search(before) or _ONE_AND_ANOTHER.search(after):
        return False
    return not _ONE_DAY.match(after) or bool(_DURATION_BEFORE.search(before))


def _is_quantity_half(text: str, start: int, end: int) -> bool:
    """Tell "half the eggs" from "the other half", "cut in half", "half-time" and "an hour and a half"."""
    before = _before(text, start)
    if _HALF_THING_BEFORE.search(before) or _HALF_THING_AFTER.match(text, end):
        return False
    return not _HALF_MORE_BEFORE.search(before) or bool(_PART_OF.match(text, end))


def _before(text: str, start: int) -> str:
    """Return what is read before a number to tell what it is; bounded, so that a long text is read in linear time."""
    return text[max(0, start - 80) : start]


def _other(text: str, start: int) -> WordNumber | None:
    match = _OTHER.match(text, start)
    if not match:
        return None
    word = match.group().lower()
    if word == "dozen":
        return None  # a unit here: "two dozen", "per dozen"
    value = next((v for stem, v in _VERBS.items() if word.startswith(stem[:-1])), None)
    if value is not None:
        return WordNumber(start=start, end=match.end(), value=value, is_maskable=False)
    is_maskable = True
    if word == "half":
        is_maskable = _is_quantity_half(text, start, match.end())
    elif "dozen" in word:
        is_maskable = not _PER.search(_before(text, start))
    return WordNumber(start=start, end=match.end(), value=_OTHERS[word.split()[-1]], is_maskable=is_maskable)
