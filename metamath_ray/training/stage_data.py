"""Where a stage's examples come from: rows of a data set, reference solutions, graded samples of a generator."""

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metamath_ray.config import SamplesConfig, SolutionsConfig
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.reading import read_configured
from metamath_ray.datasets.records import Record, parse_record, shown
from metamath_ray.errors import DataError
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.dataset_files import DATASET_TABLE
from metamath_ray.storage.locations import local_copy
from metamath_ray.storage.samples import read_sample_table, read_samples
from metamath_ray.training.examples import Example
from metamath_ray.training.units import UnitKind
from metamath_ray.types import Problem
from metamath_ray.verifier import (
    GradedSample,
    Selection,
    graded_sample,
    question_disjoint_split,
    select_examples,
    usable,
)

SOURCE_OF_TAG = {"GSM": "gsm8k", "MATH": "math"}
_SENTENCE_END = re.compile(r"\b(?P<abbreviation>Mr|Mrs|Ms|Dr|St|vs|e\.g|i\.e)\.\s+|(?<=[.!?])\s+(?=[A-Z$\\])")


class SolutionSet:
    """The solutions that a stage learns.

    Attributes:
        invalid: Messages of the malformed problems that the latest reading skipped, where they may be.
    """

    def __init__(self, config: SolutionsConfig, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self.invalid: list[str] = []

    def examples(self) -> Iterator[Example]:
        """Stream the examples of solution fine-tuning.

        Raises:
            DataError: A row is malformed or lacks a column, a problem is of the split "test", or there is none.
        """
        config = self._config
        examples = _from_rows(config.rows) if config.rows else self._from_problems()
        yield from _drawn(examples, config.limit, self._seed) if config.limit else examples

    def _from_problems(self) -> Iterator[Example]:
        config = self._config
        assert config.problems is not None  # noqa: S101  rows or problems, by its own validator
        reading = read_configured(config.problems)
        for problem in reading:
            _refuse_test(problem.split, problem.source_id or problem.question)
            yield Example(
                kind=UnitKind.SOLUTION,
                source=problem.source,
                question=problem.question,
                solutions=(reference_response(problem, config.style),),
            )
        self.invalid = reading.invalid


def _from_rows(path: str) -> Iterator[Example]:
    with local_copy(rows_file(path)) as file:
        for raw in read_records(file):
            record = parse_record(raw)
            tag = str(record.value("type") or "").rpartition("_")[0]
            yield Example(
                kind=UnitKind.SOLUTION,
                source=SOURCE_OF_TAG.get(tag, tag.lower()),
                question=_text(record, "query"),
                solutions=(_text(record, "response"),),
            )


def _text(record: Record, column: str) -> str:
    """Return a text, "" for one that is null or blank; what is blank is counted later, what is absent is refused."""
    if column not in record.values:
        record.reject(column, "a text")
    value = record.value(column)
    is_blank = value is None or (isinstance(value, str) and not value.strip())
    return "" if is_blank else record.text_or_number(column)


def rows_file(path: str) -> str:
    """Return the file of rows that is meant: itself, or the data set of a bootstrap's run directory.

    Raises:
        DataError: The run has no data set.
    """
    run = RunDirectory(path)
    if run.exists(*DATASET_TABLE):
        return run.path(*DATASET_TABLE)
    if run.exists("manifest.json"):
        raise DataError(f"{path}: this run has no data set yet; run `metamath-ray export --run-directory {path}`")
    return path


def _refuse_test(split: str, what: str) -> None:
    if split == "test":
        raise DataError(f'{shown(what)} belongs to the split "test", which is measured on and must not be learned')


def reference_response(problem: Problem, style: str) -> str:
    """Return a reference solution as a response: in its author's form or a sentence a line, with the answer at its end.

    The two forms stand for the MATH and PRM800K styles of 2310.10047, section 4.1.
    """
    solution = problem.reference_solution.strip()
    if not solution:
        return ""
    if style == "step_by_step":
        solution = _SENTENCE_END.sub(lambda match: match[0] if match["abbreviation"] else "\n", solution)
    ending = f"The answer is: {problem.reference_answer}"
    return solution if solution.endswith(ending) else f"{solution}\n{ending}"


def _drawn(examples: Iterable[Example], limit: int, seed: int) -> list[Example]:
    """Draw so many examples, each equally likely, holding no more than these (reservoir sampling)."""
    rng, kept = random.Random(f"limit:{seed}"), list[Example]()
    for number, example in enumerate(examples):
        if number < limit:
            kept.append(example)
        elif (place := rng.randrange(number + 1)) < limit:
            kept[place] = example
    return kept


class SampleSet:
    """Graded samples of the training problems; holds each problem and each usable text once.

    Raises:
        DataError: No sample can train a verifier, or one answers a problem of the split "test".

    Attributes:
        selection: What was chosen.
    """

    def __init__(self, paths: tuple[str, ...], config: SamplesConfig, *, seed: int, with_pairs: bool) -> None:
        wants_pairs = with_pairs or config.balance == "within_problems"
        self._problems: dict[str, tuple[str, str]] = {}
        self._completions: dict[GradedSample, str] = {}
        samples: list[GradedSample] = []
        for row in (row for path in paths for row in _usable_rows(path, "train", config, seed)):
            self._problems.setdefault(row["problem_id"], (row["problem"]["source"], row["problem"]["question"]))
            samples.append(graded_sample(row))
            self._completions.setdefault(samples[-1], row["completion"])
        self.selection: Selection = select_examples(
            samples,
            max_pairs_per_problem=config.max_pairs_per_problem if wants_pairs else 0,
            balance=config.balance,
            seed=seed,
        )
        if not (self.selection.pairs or self.selection.singles):
            raise DataError(f"{', '.join(paths)}: no example to learn from: {self.selection.describe()}")

    def examples(self, *, with_singles: bool) -> Iterator[Example]:
        """Return pairs, then singles.

        Raises:
            DataError: There are singles alone, and they are not asked for: no problem is solved right and wrong.
        """
        if not (self.selection.pairs or with_singles):
            raise DataError(f"no pair to learn from: {self.selection.describe()}; set the stage's pointwise_weight")
        for pair in self.selection.pairs:
            yield self._example(UnitKind.PAIR, pair.correct, pair.incorrect)
        for sample in self.selection.singles if with_singles else ():
            yield self._example(UnitKind.JUDGED, sample)

    def _example(self, kind: UnitKind, *samples: GradedSample) -> Example:
        source, question = self._problems[samples[0].problem_id]
        return Example(
            kind=kind,
            source=source,
            question=question,
            solutions=tuple(self._completions[sample] for sample in samples),
            labels=tuple(sample.is_correct for sample in samples),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """A graded solution that a verifier is measured on."""

    problem_id: str
    question: str
    completion: str
    is_correct: bool


def held_out_samples(paths: tuple[str, ...], config: SamplesConfig, *, seed: int) -> list[JudgedSample]:
    """Read the usable samples of the problems that are kept apart.

    A text of a problem counts in the first table that has it, as often as it was sampled there.

    Raises:
        DataError: One answers a problem of the split "test".
    """
    found: list[JudgedSample] = []
    tables: dict[tuple[str, str], int] = {}
    for table, path in enumerate(paths):
        for row in _usable_rows(path, "validation", config, seed):
            sample = graded_sample(row)
            if tables.setdefault((sample.problem_id, sample.text_hash), table) == table:
                found.append(_judged(row, sample))
    return found


def _judged(row: Mapping[str, Any], sample: GradedSample) -> JudgedSample:
    return JudgedSample(
        problem_id=sample.problem_id,
        question=row["problem"]["question"],
        completion=row["completion"],
        is_correct=sample.is_correct,
    )


def _usable_rows(path: str, side: str, config: SamplesConfig, seed: int) -> Iterator[Mapping[str, Any]]:
    for row in _sample_rows(path):
        if not usable(row):
            continue
        _refuse_test(row["problem"]["split"], row["problem"]["source_id"] or row["problem"]["question"])
        if question_disjoint_split(row["problem_id"], config.validation_share, seed) == side:
            yield row


def _sample_rows(path: str) -> Iterator[Mapping[str, Any]]:
    run = RunDirectory(path)
    batches = read_samples(run) if run.exists("manifest.json") else read_sample_table(path)
    for batch in batches:
        yield from batch.to_pylist()
