"""Grading of a file of JSON lines: the work behind `metamath-ray grade`."""

import itertools
import json
import multiprocessing
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from metamath_ray.errors import DataError
from metamath_ray.grading.canaries import check_canaries
from metamath_ray.grading.equivalence import explain_patiently
from metamath_ray.grading.grade import grade, grade_of
from metamath_ray.types import Grade, GradeVerdict

LINES_PER_TASK = 200
"""Lines that one worker process gets at a time."""

_TASKS_AHEAD = 4
_Graded = tuple[list[str], list[tuple[int, str]], Counter[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeCounts:
    """How the lines of a file came out."""

    correct: int = 0
    incorrect: int = 0
    unscored: int = 0
    broken: int = 0

    @property
    def total(self) -> int:
        """Number of lines that were not empty."""
        return self.correct + self.incorrect + self.unscored + self.broken


def grade_file(
    input_path: str,
    output_path: str,
    *,
    workers: int = 1,
    report: Callable[[int, str], None] | None = None,
) -> GradeCounts:
    """Grade each line of a file and write it with `verdict`, `extracted` and `reason` added, in the same order.

    A line holds `completion` (a whole text) or `answer` (only an answer), and `reference_answer`; every other field is
    kept. A broken line is reported and left out.

    Args:
        input_path: JSON lines; "-" is the standard input.
        output_path: Where to write; "-" is the standard output.
        workers: Processes that grade.
        report: Called with the number of each broken line and what is wrong with it; writes to the standard error when
            not given.

    Raises:
        DataError: The input cannot be read or the output cannot be written.
        GraderBroken: The grader fails its known pairs.
    """
    check_canaries()
    tell = report or _report
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        source = _open(stack, input_path, "r", sys.stdin)
        target = _open(stack, output_path, "w", sys.stdout)
        for rows, broken, counted in _graded(_tasks(source), workers):
            target.writelines(rows)
            for number, message in broken:
                tell(number, message)
            counts += counted
    return GradeCounts(**counts)


def _report(number: int, message: str) -> None:
    print(f"line {number}: {message}", file=sys.stderr)


def _open(stack: ExitStack, path: str, mode: str, standard: TextIO) -> TextIO:
    if path == "-":
        return standard
    try:
        return stack.enter_context(Path(path).open(mode, encoding="utf-8", errors="replace"))  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _tasks(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """Number the lines from 1 and hand them out in pieces, without the empty ones."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    while task := list(itertools.islice(numbered, LINES_PER_TASK)):
        yield task


def _graded(tasks: Iterator[list[tuple[int, str]]], workers: int) -> Iterator[_Graded]:
    """Grade the pieces here, or in fresh processes with a few pieces in flight, in order."""
    if workers <= 1:
        yield from map(_grade_lines, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        running: deque[Future[_Graded]] = deque()
        for task in tasks:
            running.append(executor.submit(_grade_lines, task))
            if len(running) >= _TASKS_AHEAD * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _grade_lines(task: list[tuple[int, str]]) -> _Graded:
    rows: list[str] = []
    broken: list[tuple[int, str]] = []
    counts: Counter[str] = Counter()
    for number, line in task:
        try:
            row, found = _grade_line(line)
        except DataError as error:
            broken.append((number, str(error)))
            counts["broken"] += 1
            continue
        counts[found.verdict.value] += 1
        added = {"verdict": found.verdict.value, "extracted": found.extracted_answer, "reason": found.reason}
        rows.append(json.dumps(row | added, ensure_ascii=False) + "\n")
    return rows, broken, counts


def _grade_line(line: str) -> tuple[dict[str, object], Grade]:
    """Grade one line.

    Raises:
        DataError: It is no JSON object, or lacks a field.
    """
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError("not a JSON object")
    reference = _text(row, "reference_answer")
    if "completion" in row:
        return row, grade(_text(row, "completion"), reference)
    answer = _text(row, "answer")
    if not reference.strip():
        return row, Grade(verdict=GradeVerdict.UNSCORED, extracted_answer=answer, reason="no_reference")
    return row, grade_of(answer, explain_patiently(answer, reference))


def _text(row: dict[str, object], name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"field {name!r} is missing" if value is None else f"field {name!r} is no text")
    return str(value)
