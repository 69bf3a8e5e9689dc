"""Other tools' completions as rows of our table, graded by our grader: JSON lines, and lm-evaluation-harness's logs."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Literal

import pyarrow as pa

from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.records import Record, parse_record
from metamath_ray.errors import ConfigError
from metamath_ray.grading import check_canaries, extract_answer, grade, rejection
from metamath_ray.storage.filesystems import normalized, open_location
from metamath_ray.storage.locations import local_copy
from metamath_ray.storage.samples import ROWS_PER_BATCH, SAMPLE_SCHEMA, sample_to_row
from metamath_ray.types import Completion, FinishReason, Problem, RejectionReason

Scale = Literal["probability", "log_odds"]

ROLES: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "problem"),
    "reference_answer": ("reference_answer", "expected_answer", "gt", "gold", "answer", "target"),
    "completion": ("completion", "completions", "code", "responses", "response"),
    "score": ("pred_score", "scores", "score"),
    "finish_reason": ("finish_reason", "finish_reasons"),
    "model": ("model",),
    "level": ("level",),
    "subject": ("subject", "type"),
    "num_steps": ("num_steps",),
}
"""Our field → the fields of a line in which it is looked for, in this order."""

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
}
_UNKNOWN = {"seed": None, "num_prompt_tokens": None, "num_completion_tokens": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completion:
    """What another tool says of one completion; None where it does not."""

    problem: Problem
    text: str
    model: str
    finish_reason: FinishReason | None = None
    score: float | None = None


def read_completions(
    path: str,
    *,
    fields: Mapping[str, str] | None = None,
    scores: Scale = "probability",
    num_problems: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Grade lines of a question, its reference answer and one completion or a list of them.

    What a file does not say is null in the table: tokens, seeds, and how a completion ended, which then counts as ended
    by itself. A score that is a truth value is another grader's label, and is left out. Lines of one question and
    reference are samples of one problem.

    Args:
        path: JSON lines (gzip, too), a JSON array or parquet, here or in a bucket.
        fields: Our field → field of the lines, where `ROLES` does not find it.
        scores: What the scores are: S, or log-odds, of which S is the logistic function.
        num_problems: Grade and return the completions of so many problems, the first ones; all without it.

    Raises:
        ConfigError: `fields` names a field that we do not have.
        DataError: A line is malformed; names file, line and field. Raised while batches are read.
        GraderBroken: The grader fails its known pairs.
    """
    unknown = sorted(set(fields or {}) - set(ROLES))
    if unknown:
        raise ConfigError(f"fields: {unknown[0]!r} is none of {', '.join(ROLES)}")
    return _batches(_graded(_in_lines(path, fields or {}, scores), num_problems))


def read_lm_eval(path: str, *, num_problems: int | None = None) -> Iterator[pa.RecordBatch]:
    """Grade the completions of a sample log of lm-evaluation-harness (`samples_<task>_<time>.jsonl`).

    A task with several filters logs each completion once for each; the lines of the first filter are read. The model is
    the log's folder, which the harness names after it.

    Args:
        path: The log, here or in a bucket.
        num_problems: Grade and return the completions of so many problems, the first ones; all without it.

    Raises:
        DataError: A line is malformed; names file, line and field. Raised while batches are read.
        GraderBroken: The grader fails its known pairs.
    """
    return _batches(_graded(_in_log(path), num_problems))


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    check_canaries()
    while part := list(islice(rows, ROWS_PER_BATCH)):
        yield pa.RecordBatch.from_pylist(part, schema=SAMPLE_SCHEMA)


def _graded(completions: Iterator[_Completion], num_problems: int | None) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for completion in completions:
        problem_id = completion.problem.problem_id
        if problem_id in seen or len(seen) != num_problems:
            yield _row(completion, index=seen[problem_id])
            seen[problem_id] += 1


def _in_lines(path: str, chosen: Mapping[str, str], scale: Scale) -> Iterator[_Completion]:
    source = _place(path).name.split(".")[0]
    for record in _records(path):
        names = {role: chosen.get(role) or _field(record, known) for role, known in ROLES.items()}
        problem = Problem(
            question=record.text(names["question"] or "question", "the question (name its field with `fields`)"),
            reference_answer=_reference(record, names["reference_answer"] or "reference_answer"),
            source=source,
            split="test",
            source_id=record.source_id,
            level=record.text_or_number(names["level"]) if names["level"] else None,
            subject=record.text_or_number(names["subject"]) if names["subject"] else None,
            num_steps=record.optional_count(names["num_steps"]) if names["num_steps"] else None,
        )
        model = record.text(names["model"]) if names["model"] else source
        texts = _texts(record, names["completion"] or "completion")
        scores = _scores(record, names["score"], len(texts), scale, is_chosen="score" in chosen)
        reasons = _finish_reasons(record, names["finish_reason"], len(texts))
        for text, score, finish_reason in zip(texts, scores, reasons, strict=True):
            yield _Completion(problem=problem, text=text, model=model, finish_reason=finish_reason, score=score)


def _in_log(path: str) -> Iterator[_Completion]:
    first_filter: object = None
    place = _place(path)
    for number, record in enumerate(_records(path)):
        if number == 0:
            first_filter = record.value("filter")
        if record.value("filter") != first_filter:
            continue
        problem = Problem(
            question=_asked(record),
            reference_answer=_reference(record, "target"),
            source=place.name.split(".")[0],
            split="test",
            source_id=record.source_id,
            level=record.optional_text("doc.level") or None,
            subject=record.optional_text("doc.subject") or record.optional_text("doc.type") or None,
        )
        for text in _responses(record):
            yield _Completion(problem=problem, text=text, model=place.parent.name)


def _place(path: str) -> PurePosixPath:
    return PurePosixPath(open_location(normalized(path))[1])


def _records(path: str) -> Iterator[Record]:
    with local_copy(path) as file:
        for raw in read_records(file):
            yield parse_record(raw)


def _field(record: Record, names: Sequence[str]) -> str | None:
    """Return the first of the fields that the record has."""
    return next((name for name in names if record.has(name)), None)


def _row(given: _Completion, *, index: int) -> dict[str, Any]:
    """Grade a completion; one that was cut states no answer."""
    completion = Completion(
        text=given.text,
        finish_reason=given.finish_reason or FinishReason.STOP,
        num_prompt_tokens=0,
        num_completion_tokens=0,
        seed=0,
        model=given.model,
    )
    found = grade(given.text, given.problem.reference_answer)
    reason: str = RejectionReason.TRUNCATED if completion.is_truncated else (rejection(found) or "")
    row = sample_to_row(
        given.problem,
        completion,
        sample_index=index,
        extracted_answer=None if completion.is_truncated else found.extracted_answer,
        reason=reason,
        prompt_set_hash="",
    )
    why = found.reason if reason == RejectionReason.UNDECIDED else row["reason"]  # "undecided: over the time limit"
    ended = None if given.finish_reason is None else str(given.finish_reason)
    return row | _UNKNOWN | {"reason": why, "finish_reason": ended, "score": given.score}


def _reference(record: Record, field: str) -> str:
    """Return the reference answer; out of a whole solution, its final answer."""
    text = record.text_or_number(field, "the reference answer (name its field with `fields`)")
    return (extract_answer(text) or text) if "####" in text or r"\boxed" in text else text


def _texts(record: Record, field: str) -> list[str]:
    value = record.value(field)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        record.reject(field, "a completion or a list of them (name its field with `fields`)")
    return texts


def _responses(record: Record) -> list[str]:
    """Return the texts of `resps`: one request with all its repeats."""
    value = record.value("resps")
    inner = value[0] if isinstance(value, list) and len(value) == 1 else None
    if not isinstance(inner, list) or not inner or not all(isinstance(text, str) for text in inner):
        record.reject("resps", "one list of generated texts (a task of lm-eval that generates)")
    return inner


def _asked(record: Record) -> str:
    """Return the question of a logged document, else the prompt."""
    for field in ("doc.question", "doc.problem", "doc.query", "arguments.gen_args_0.arg_0"):
        if record.has(field):
            return record.text(field)
    arguments = record.value("arguments")
    if not (isinstance(arguments, list) and arguments and isinstance(arguments[0], list) and arguments[0]):
        record.reject("doc", "a document with question or problem, or the prompt in arguments")
    return str(arguments[0][0]).strip()


def _scores(record: Record, field: str | None, num: int, scale: Scale, *, is_chosen: bool) -> list[float | None]:
    if field is None:
        return [None] * num
    value = record.value(field)
    values = value if isinstance(value, list) else [value]
    values = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]
    if not is_chosen and all(one is None or isinstance(one, bool) for one in values):
        return [None] * num
    if len(values) != num:
        record.reject(field, f"{num} scores, one a completion")
    return [_score(record, field, one, scale) for one in values]


def _score(record: Record, field: str, value: object, scale: Scale) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        record.reject(field, "numbers")
    if scale == "log_odds":
        return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
    if not 0 <= value <= 1:
        record.reject(field, "S from 0 to 1 (for rewards or log-odds, set scores to log_odds)")
    return float(value)


def _finish_reasons(record: Record, field: str | None, num: int) -> list[FinishReason | None]:
    if field is None:
        return [None] * num
    value = record.value(field)
    values = value if isinstance(value, list) else [value] * num
    if len(values) != num or not all(one is None or isinstance(one, str) for one in values):
        record.reject(field, f"a finish reason, or {num} of them")
    return [None if one is None else _FINISH_REASONS.get(str(one), FinishReason.OTHER) for one in values]
