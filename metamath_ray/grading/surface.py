"""From what a model wrote to one plain spelling: characters, LaTeX wrappers, spacing."""

import re

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "－": "-", "‐": "-", "‑": "-", "＋": "+", "×": r"\times ",
    "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ", "＝": "=", "≤": r"\le ",
    "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "π": r"\pi ",
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∖": r"\setminus ", "∅": r"\emptyset ",
    "∈": r"\in ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ", "º": r"^\circ ", "′": "'",
    "’": "'", "‘": "'", "“": '"', "”": '"', "（": "(", "）": ")", "［": "[", "］": "]", "｛": "{",
    "｝": "}", "，": ", ", "、": ", ", "；": ";", "：": ":", "。": ". ", "！": "!", "％": "%", "＄": "$",
    "￥": "¥", "／": "/", "∕": "/", "⁄": "/", "√": r"\surd ", "∛": r"\cbrt ", "θ": r"\theta ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ",
    "ω": r"\omega ", "σ": r"\sigma ", "δ": r"\delta ", "ε": r"\epsilon ", "Δ": r"\Delta ",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}", "⅛": r"\frac{1}{8}",
    "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "…": r"\ldots ", "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
    "\u2007": " ", "\u3000": " ", "\u200b": "", "\u200c": "", "\u200d": "", "\u2060": "",
    "\ufeff": "", "\x00": "", "\x0c": r"\f",
}  # fmt: skip
_TRANSLATION = str.maketrans(
    _CHARACTERS
    | {chr(0xFF10 + d): str(d) for d in range(10)}
    | {chr(0xFF21 + i): chr(65 + i) for i in range(26)}
    | {chr(0xFF41 + i): chr(97 + i) for i in range(26)}
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")

_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_SPECIAL_TOKEN = re.compile(r"<\|[\w ]{1,40}\|>|</?s>|</?answer>")
_DOUBLED_BACKSLASH = re.compile(
    r"\\\\(?=(?:boxed|frac|[dtc]frac|left|right|text|le|ge|sqrt|pi|times|cdot|pm|infty)\b"
    r"|[\[\]()])"
)
_WRITTEN_NEWLINE = re.compile(r"\\n(?![a-zA-Z])")
_SIZE = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|middle)(?![a-zA-Z])\s*\.?"
    r"|\\(?:displaystyle|textstyle|limits|nolimits)(?![a-zA-Z])"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:\s?\{\s?,\s?\}(?=\s?\d{3}(?!\d))|\{,\}|\{,\\!\}|,\s?\\!|\\!\s?,)\s*(?=\d)")
_NO_SPACE = re.compile(r"\\!|\\(?:negthinspace|negmedspace|negthickspace)(?![a-zA-Z])")
_SPACE = re.compile(
    r"(?<!\\)\\[,;:> ]|(?<!\\)\\(?:quad|qquad|thinspace|medspace|thickspace|enspace)(?![a-z])"
    r"|\\[hv]space\*?\{[^{}]*\}|~|\s+"
)
_ROW_GAP = re.compile(r"(?<=\\\\)\s?\[-?[\d.]+\s?(?:pt|ex|em|mm|cm)\]")
_QUOTES = re.compile(r'\\?"|``|\'\'(?=$)')
_INLINE = re.compile(r"(?<!\\)\$([^$]*)(?<!\\)\$")
_LEADING_RELATION = re.compile(r"^(?:=|~|\\(?:approx|simeq|sim|equiv)(?![a-zA-Z]))\s*")
_SPOKEN_SIGN = re.compile(r"^(?:negative|minus)\s+", re.IGNORECASE)
_ORDINAL = re.compile(r"(?<=\d)\s?(?:\^\s?\{?)?\s?(?:\\text\w{0,2}\s?\{\s?)?(?:st|nd|rd|th)\s?\}{0,2}$")
_SPOKEN_RATIO = re.compile(r"(?<=\d) to (?=\d)")
_ENDLESS_DIGITS = re.compile(r"(\.\d{2,}) ?(?:\\[lc]?dots|\.{3})$")
_GLUED_OR = re.compile(r"(?<=[\d)\]}])(or|and)(?=[A-Z\d\\(\[-])")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")


def clean_characters(text: str) -> str:
    """Replace look-alike characters, superscripts and special tokens by their plain or LaTeX spelling."""
    if text.isascii() and "<" not in text and "\x00" not in text and "\x0c" not in text:
        return text
    text = _SPECIAL_TOKEN.sub("", text)
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + run.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + run.group().translate(_SUBSCRIPTS) + "}", text)
    return text.translate(_TRANSLATION)


def clean(text: str) -> str:
    """Return the plain spelling of an answer: look-alikes, sizes and spacing gone, one space where space matters."""
    text = clean_characters(text)
    if "\\" in text or "{" in text:
        if "\\begin" not in text:
            text = _DOUBLED_BACKSLASH.sub(lambda _: "\\", text)
        text = _WRITTEN_NEWLINE.sub(" ", text)
        text = _SIZE.sub("", _ROW_GAP.sub("", text))
        text = _THOUSANDS.sub("", text)
        text = _NO_SPACE.sub("", text)
        text = _FRACTION.sub(r"\\frac", text)
    text = unwrap(_SPACE.sub(" ", text).strip())
    if "$" in text or '"' in text or "or" in text or "and" in text:
        text = _GLUED_OR.sub(r" \1 ", _INLINE.sub(r"\1", _QUOTES.sub("", text))).strip()
    text = _SPOKEN_RATIO.sub(":", _ORDINAL.sub("", _ENDLESS_DIGITS.sub(r"\1", text)))
    return _LEADING_RELATION.sub("", _SPOKEN_SIGN.sub("-", text))


_PAIRS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"), ("**", "**"), ("`", "`"))
_TRAILING = ".,;:!?\"' \\"


def unwrap(text: str) -> str:
    """Take off mathematics delimiters, emphasis and closing punctuation, as often as they nest."""
    for _ in range(6):
        before = text
        text = _strip_end(text.strip())
        for opening, closing in _PAIRS:
            inner = text[len(opening) : -len(closing)]
            wrapped = text.startswith(opening) and text.endswith(closing) and len(text) >= 2 * len(opening)
            if wrapped and (opening[0] not in "$*`" or opening[0] not in inner):
                text = inner.strip()
                break
        if text == before:
            break
    return text.strip("* ") if text.startswith("**") or text.endswith("**") else text


def _strip_end(text: str) -> str:
    """Drop closing punctuation, but not a factorial, a prime, an escaped bracket or the dots of an endless list."""
    while text and text[-1] in _TRAILING:
        if text[-1] == "!" or (text[-1] == "'" and text.count("'") != 2) or text.endswith("\\\\"):
            break
        if text.endswith("...") and text.rstrip(". ").endswith(","):
            break
        text = text[:-1].rstrip()
    return text
