"""The final answer of a completion: explicit marks first, the last one wins; then weaker signs."""

import re

from metamath_ray.grading.boxes import BOX, box_spans, last_boxes
from metamath_ray.grading.limits import MAX_COMPLETION_CHARS
from metamath_ray.grading.sentences import (
    MATH_SPAN,
    NUMBER,
    first_choice,
    first_sentence,
    is_formula,
    is_prose,
    is_sentence,
    is_short,
    last_choice,
    last_number,
    last_span,
    stated_value,
    states_value,
)
from metamath_ray.grading.surface import clean_characters, unwrap

_NEXT_TURN = re.compile(
    r"<\|(?:im_start|eot_id|start_header_id|endoftext|im_end)\|>|\n(?:### Instruction|Below is an instruction)"
)
_STRONG_MARK = re.compile(
    r"####[ \t]{0,4}:?|^A:|\bfinal\s{1,4}answer\s{0,4}(?:\([^()\n]{0,30}\)\s{0,4})?(?:is|are|:|：|=)"
    r"|(?:^\W{0,4}|\b(?:the|correct)\s{1,4})answer\s{0,4}:"
    r"|^(?:so,?\s{1,4}|thus,?\s{1,4}|therefore,?\s{1,4}|hence,?\s{1,4})?the\s{1,4}answer\s{1,4}is\b"
    r"|(?:答案|réponse|respuesta|antwort|risposta|resposta|ответ)\s{0,4}(?:是|为|est|es|ist|è|é)?",
    re.IGNORECASE | re.MULTILINE,
)
_WEAK_MARK = re.compile(
    r"\banswer\s{1,4}(?:is|are|was|be|would\s{1,4}be|must\s{1,4}be|should\s{1,4}be|will\s{1,4}be)\b"
    r"|\banswer\s{1,4}[-–]\s|\banswer\s{0,4}:|\banswer\s{0,4}(?==|\$|\\\[|\\\(|\\boxed)"
    r"|\bthe\s{1,4}value\s{1,4}of\s{1,4}(?:the\s{1,4})?(?:unknown\s{1,4})?(?:variable\s{1,4})?\$?\\?[a-z]{1,8}\$?"
    r"\s{1,4}(?:is|must\s{1,4}be|=)",
    re.IGNORECASE,
)
_AFTER_MARK = re.compile(r"[\s:：=]{0,12}")
_LETTER = re.compile(r"[^\W\d_]|=|\n")
_REASON = re.compile(r",?\s(?:because|since)\b", re.IGNORECASE)
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,8}\{[\s{}$]{0,8}\}")
_MAX_MARK_CHARS = 200
_MAX_MARKS = 32
_MAX_STATED_CHARS = 4_000
_MAX_WEAK_CHARS = 8_000
MAX_LETTERS = 3
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_OUTPUT = re.compile(r"```output\s{0,4}\n([^`\n]{1,200})\n?```")
_LAST_EQUALS = re.compile(r"(?<![!<>=])=\s{0,8}([^=\n]{1,300})$")


def extract_answer(text: str) -> str | None:
    r"""Return the final answer of a completion, or None when it states none.

    The last explicit mark wins: a `\boxed{}`, "#### …", "The answer is …", "The value of x is …". Without one, in this
    order: the output of the last program, a bold number, what follows the last "=" of the last line, the last formula
    or number.
    """
    found = find_answers(text)
    return found[0] if found else None


def find_answers(text: str) -> tuple[str, ...]:
    r"""Return the final answer; where it is a group of boxes, also the last box alone, as some references have it."""
    text = _last_turn(text[-MAX_COMPLETION_CHARS:])
    boxed = last_boxes(text)
    marked = _marked(text, _STRONG_MARK)
    if boxed and (marked is None or boxed.start > marked[0] or not _has_value(marked[1])):
        return (", ".join(boxed.parts), *boxed.parts[-1:])[: len(boxed.parts)]
    weak = _marked(text, _WEAK_MARK) if boxed is None else None
    if weak and (marked is None or weak[0] > marked[0]):
        marked = weak
    if marked:
        return (marked[1],)
    text = _EMPTY_BOX.sub("", text[-_MAX_WEAK_CHARS:]).rstrip()
    unmarked = None if _breaks_off(text) else _unmarked(text)
    return (unmarked,) if unmarked else ()


def _breaks_off(text: str) -> bool:
    """Whether the text ends with a mark that nothing follows."""
    end = text[-_MAX_MARK_CHARS:]
    marks = [mark.end() for pattern in (_STRONG_MARK, _WEAK_MARK) for mark in pattern.finditer(end)]
    return bool(marks) and not any(map(str.isalnum, end[max(marks) :]))


def states_answer(text: str) -> bool:
    """Whether a text says which part of it is the answer, rather than being one."""
    marks = (BOX, _STRONG_MARK, _WEAK_MARK)
    return is_sentence(text) or is_prose(text) or any(mark.search(text) is not None for mark in marks)


def _last_turn(text: str) -> str:
    """Keep the answering turn: what follows the reasoning block, and nothing that belongs to the next turn."""
    for turn in _NEXT_TURN.finditer(text):
        if text[: turn.start()].strip():
            text = text[: turn.start()]
            break
    after = text.rpartition("</think>")[2]
    if after.strip():
        text = after
    _before, tag, tagged = text.rpartition("<answer>")
    if tag:
        text = "The answer is: " + tagged.partition("</answer>")[0]
    return clean_characters(text)


def _marked(text: str, pattern: re.Pattern[str]) -> tuple[int, str] | None:
    """Return the place and the answer of the last mark that is followed by something like an answer."""
    for mark in reversed(list(pattern.finditer(text))[-_MAX_MARKS:]):
        gap = _AFTER_MARK.match(text, mark.end())
        answer = _stated(text[gap.end() if gap else mark.end() :][:_MAX_STATED_CHARS])
        if answer:
            return mark.start(), answer
    return None


def _stated(rest: str) -> str:
    """Return the answer at the start of the text behind a mark, "" when there is none."""
    if next(box_spans(first_sentence(rest)), None):
        return ""
    opening = MATH_SPAN.match(rest)
    if opening and is_formula(opening.group()):
        following = first_sentence(rest[opening.end() :])
        return unwrap(_without_reason(opening.group() + following) if is_short(following) else opening.group())
    sentence = unwrap(_without_reason(first_sentence(rest)))
    stated = stated_value(sentence) if is_sentence(sentence) else sentence
    if not any(character.isalnum() for character in stated):
        return ""
    if is_short(stated):
        return stated
    number = NUMBER.match(stated)
    if number or _has_value(stated):
        return unwrap(number.group()) if number else stated
    return first_choice(stated) or ""


def _without_reason(sentence: str) -> str:
    """Cut off why it is the answer: "3 because 1+2 = 3"."""
    answer = _REASON.split(sentence, maxsplit=1)[0]
    return answer if any(map(str.isalnum, answer)) else sentence


def _has_value(text: str) -> bool:
    """Whether a digit, a formula or a single letter is in there, and not only words."""
    return any(character.isdigit() or character in "\\$=" for character in text) or len(text) <= MAX_LETTERS


def _unmarked(text: str) -> str | None:
    """Look for the weaker signs, in their order."""
    outputs = _OUTPUT.findall(text)
    if outputs:
        return unwrap(outputs[-1])
    first = first_sentence(text)
    if len(first) < len(text) and text[:1].isdigit() and not _LETTER.search(first):
        return unwrap(first)
    bold = [match.group(1).strip() for match in _BOLD.finditer(text)]
    bold = [content for content in bold if _is_bold_answer(content)]
    if bold:
        return unwrap(bold[-1])
    last_line = unwrap(text[text.rfind("\n") + 1 :])
    equals = _LAST_EQUALS.search(last_line)
    if equals and not text.rstrip(" .").endswith(("$", "\\)", "\\]")) and is_short(equals.group(1)):
        return unwrap(equals.group(1).strip(" ()[]")) or None
    if "\n" not in text and not is_sentence(text) and is_short(text):
        return unwrap(stated_value(text) if states_value(text) else text) or None
    return _last_value(text)


def _is_bold_answer(content: str) -> bool:
    """Whether a bold text is a value, not a heading."""
    return re.match(r"\W*\d", content) is not None and not content.endswith(":") and is_short(content)


def _last_value(text: str) -> str | None:
    """Return the last formula, number or letter of a choice."""
    span, number = last_span(text), last_number(text)
    if number and (span is None or number.end() > span.end()):
        return unwrap(number.group())
    return unwrap(span.group()) if span else last_choice(text)
