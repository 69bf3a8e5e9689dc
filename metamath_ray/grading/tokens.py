"""From a cleaned answer to tokens."""

import re
from dataclasses import dataclass

from metamath_ray.grading.names import CONSTANTS, FUNCTIONS, GREEK, OPERATORS
from metamath_ray.grading.sympy_forms import FORMS, NAMES

_WRAPPERS = "mathrm|mathbf|mathit|mathcal|mathfrak|mathsf|mathtt|boldsymbol|bm|operatorname\\*?|emph|underline|rm|bf|it"
_TEXTS = "text|textbf|textit|textrm|textnormal|texttt|textsf|mbox|hbox|textup|textsc"
_PLAIN_OPERATORS = {"**": "^", "==": "=", "=<": "<=", "=>": ">=", "<>": "!=", "≡": "=="}

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+(?:\.\d+)?[eE][-+]?\d+(?![a-zA-Z])|\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<begin>\\begin\s?\{(?P<env>[a-zA-Z]+\*?)\}(?:\s?\{[lcr| ]*\})?)"
    r"|(?P<end>\\end\s?\{[a-zA-Z]+\*?\})"
    rf"|(?P<text>\\(?:{_TEXTS})\s?\{{(?P<words>[^{{}}]*)\}})"
    r"|\\operatorname\*?\s?\{\s?(?P<operator_name>[A-Za-z]+)\s?\}"
    rf"|(?P<wrapper>\\(?:{_WRAPPERS})(?![a-zA-Z]))"
    r"|(?P<command>\\[a-zA-Z]+)"
    r"|(?P<escaped>\\[{}|%$&#_\\])"
    r"|(?P<form>(?:Interval\.(?:open|Lopen|Ropen)|[A-Z][A-Za-z]+)(?=\()"
    r"|EmptySet|Reals|Integers|Rationals|Naturals|Complexes)"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<dots>\.{3})"
    r"|(?P<operator>\*\*|<=|>=|=<|=>|!=|<>|==|->|\|\||[-+*/^_=<>()\[\]{}|!,;:%'&~≡°])"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `spaced` says that white space stands before it."""

    kind: str
    text: str
    spaced: bool = False


class ParseFailure(Exception):
    """The text is not an expression that this parser knows."""


def tokenize(text: str) -> list[Token]:
    """Split a cleaned answer; raise `ParseFailure` at the first character that has no place in mathematics."""
    tokens: list[Token] = []
    place, spaced = 0, False
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ParseFailure(f"unexpected {text[place]!r}")
        place = match.end()
        kind = str(match.lastgroup)
        if kind == "space":
            spaced = True
            continue
        tokens.extend(_translate(match, spaced))
        spaced = False
    return tokens


def _translate(match: re.Match[str], spaced: bool) -> list[Token]:  # noqa: PLR0911
    """Return the tokens of one match."""
    text = match.group()
    if match["begin"]:
        return [Token("begin", match["env"], spaced)]
    if match["text"]:
        return _text_tokens(match["words"], spaced)
    if match["wrapper"]:
        return []
    if match["command"]:
        return _command_tokens(text[1:], spaced)
    if match["escaped"]:
        return _escaped_token(text[1], spaced)
    if match["form"]:
        known = text in FORMS or text in NAMES
        return [Token("form", text, spaced)] if known else _letter_tokens(text, spaced)
    if match["operator_name"]:
        return _letter_tokens(match["operator_name"], spaced)
    if match["letters"]:
        return _letter_tokens(text, spaced)
    if match["dots"]:
        return [Token("operator", "...", spaced)]
    kind = "number" if match["number"] else "end" if match["end"] else "operator"
    return [Token(kind, _PLAIN_OPERATORS.get(text, text), spaced)]


def _text_tokens(words: str, spaced: bool) -> list[Token]:
    plain = words.strip(" ,.:;")
    if plain.lower() in ("and", "or"):
        return [Token("operator", plain.lower(), spaced)]
    if not plain:
        return [Token("operator", ",", spaced)] if "," in words else []
    if re.fullmatch(r"[A-Za-z](?:_?\d)?'?|[-+\d.,/ ]+", plain):
        return tokenize(plain)
    return [Token("word", " ".join(words.split()), spaced)]


def _command_tokens(name: str, spaced: bool) -> list[Token]:
    if name in OPERATORS:
        return [Token("operator", OPERATORS[name], spaced)]
    if name in CONSTANTS:
        return [Token("symbol", CONSTANTS[name], spaced)]
    if name in FUNCTIONS:
        return [Token("function", name, spaced)]
    if name in GREEK or name in ("forall", "exists"):
        return [Token("symbol", name, spaced)]
    for known in ("leq", "geq", "le", "ge", "quad", "qquad", "pi", "cdot", "times", "pm", "lt", "gt"):
        if name.startswith(known) and len(name) == len(known) + 1:
            head = [] if "quad" in known else _command_tokens(known, spaced)
            return head + _letter_tokens(name[-1], spaced)
    return [Token("command", name, spaced)]


def _escaped_token(character: str, spaced: bool) -> list[Token]:
    if character == "\\":
        return [Token("rowbreak", "\\\\", spaced)]
    names = {"{": "{set", "}": "}set", "|": "||", "%": "%"}
    return [Token("operator", names[character], spaced)] if character in names else []


def _letter_tokens(run: str, spaced: bool) -> list[Token]:  # noqa: PLR0911
    """Split a run of letters: a known name, a joining word, or one symbol a letter; longer runs are words."""
    if run in CONSTANTS:
        return [Token("symbol", CONSTANTS[run], spaced)]
    if run in FUNCTIONS:
        return [Token("function", run, spaced)]
    if run in GREEK:
        return [Token("symbol", run, spaced)]
    if run.lower() in ("and", "or"):
        return [Token("operator", run.lower(), spaced)]
    if run == "mod":
        return [Token("operator", "mod", spaced)]
    if run == "U" and spaced:
        return [Token("operator", "cup", spaced)]
    if len(run) > 3 and not run.isupper():
        return _glued(run, spaced) or [Token("word", run, spaced)]
    return [Token("symbol", letter, spaced and place == 0) for place, letter in enumerate(run)]


def _glued(run: str, spaced: bool) -> list[Token]:
    """Split "sqrtx", "pix" or "sinx" at the name in front, where one symbol follows."""
    for size in (len(run) - 1, len(run) - 2):
        if run[:size] in FUNCTIONS:
            return [Token("function", run[:size], spaced), *_letter_tokens(run[size:], False)]
    return []
