"""Where sentences end, and which of them asks the question."""

import re

from metamath_ray.augmentation.latex import Span, code_spans, formula_spans, span_at

# How many characters around a mark decide whether it ends a sentence.
_CONTEXT = 80
_CLOSING = "\"'”’)]"
# White space after the mark, or a capital right after a formula that holds it: "\[x^2.\]Find".
_END = re.compile(
    r"[.?!…][\"'”’)\]]*(?=\s|$)|[.?!]\s*(?:\${1,2}|\\[\])]|\\end\{\w+\*?\})(?=\s|$|[A-Z])|\n\s*(?=\S)|\[/asy\]\s*"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Ft|Jr|Sr|No|Nos|vs|approx|etc|Inc|Ltd|Co|Gen|Capt|Sgt|Lt|Rev|Ave|Blvd|Fig|Eq)"
    r"|\be\.g|\bi\.e|(?<![$\\])\b[A-Z](?:\.[A-Z])*)$"
)
_MAY_END_SENTENCE = re.compile(r"(?:\betc|\bInc|\bLtd|\bCo|\bJr|\bSr|\b[A-Z]\.[A-Z])$")
_STARTER = re.compile(r"(?:How|What|Who|When|Where|Which|If|The|She|He|They|It|In|After|Find)\b")
_ASKING_LINE = re.compile(
    r"(?:How|What|Which|Who|When|Where|Find|Determine|Compute|Calculate|Evaluate|Express|If|Solve|Simplify)\b"
)
_COMMAND = re.compile(
    r"(?:Find|Compute|Determine|Calculate|Evaluate|Simplify|Solve|Factor|Expand|Prove|Show|State|Rationalize|Convert)\b"
)
_DEMAND = re.compile(
    r"\b(?:find|compute|determine|calculate|evaluate|simplify|solve|factor|expand|express|list|give|what|how|convert)\b",
    re.IGNORECASE,
)
_FORMAT = re.compile(r"\W*(?:express|enter|give|write|round|leave|list|assume|use)\b", re.IGNORECASE)


def split_last_question(question: str) -> tuple[str, str]:
    """Split off the sentence that asks.

    Returns:
        The rest of the text, and the last sentence that ends in a question mark or begins with a command ("Find …");
        without one, the last that demands something, else the last. How to write the answer ("Express your answer as a
        common fraction.") is not the question.
    """
    start, end = last_question_span(question)
    rest = f"{question[:start].rstrip()} {question[end:].lstrip()}".strip()
    return rest, question[start:end]


def last_question_span(text: str) -> Span:
    """Return where the last question sentence stands, without the white space around it."""
    spans = sentence_spans(text)
    sentences = [(span, text[span[0] : span[1]]) for span in spans]
    asking = [s for s, words in sentences if words.rstrip(_CLOSING + "$").endswith("?") or _COMMAND.match(words)]
    demanding = [s for s, words in sentences if _DEMAND.search(words) and not _FORMAT.match(words)]
    return (asking or demanding or spans or [(0, 0)])[-1]


def sentence_spans(text: str) -> list[Span]:
    """Return the spans of the sentences of a text, without the white space between them; drawings are none."""
    formulas, code = formula_spans(text), code_spans(text)
    ends = [match.end() for match in _END.finditer(text) if _ends_sentence(text, match.end(), formulas, code)]
    spans: list[Span] = []
    start = 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        if piece.strip() and not piece.lstrip().startswith("[asy]"):
            spans.append((start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())))
        start = end
    return spans


def _ends_sentence(text: str, end: int, formulas: list[Span], code: list[Span]) -> bool:
    before, after = text[max(0, end - _CONTEXT) : end].rstrip(), text[end : end + _CONTEXT].lstrip()
    if before.endswith("[/asy]") or after.startswith("[asy]"):
        return True
    if span_at(end - 1, code):
        return False
    if formula := span_at(end - 1, formulas):
        return end == formula[1] and not after[:1].islower()
    if text[end - 1].isspace():
        return bool(_ASKING_LINE.match(after)) and before[-1:] not in ",:;="
    return _mark_ends_sentence(before.rstrip(_CLOSING), after)


def _mark_ends_sentence(before: str, after: str) -> bool:
    """Whether the mark at the end of `before` is a full stop, and not the dot of an abbreviation."""
    if before.endswith(("a.m.", "p.m.")):
        return after[:1].isupper()
    if before.endswith(".") and _MAY_END_SENTENCE.search(before[:-1]):
        return bool(_STARTER.match(after))
    is_abbreviation = before.endswith(".") and _ABBREVIATION.search(before[:-1])
    return not is_abbreviation and not after[:1].islower()
