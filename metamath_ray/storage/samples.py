"""The table of samples: what a generator answered to a problem, graded, and scored where a verifier was asked."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from metamath_ray.errors import DataError
from metamath_ray.storage.filesystems import normalized, open_location, reason
from metamath_ray.storage.plan_index import PlanIndex, outcomes_in_plan_order
from metamath_ray.storage.run_directory import RunDirectory
from metamath_ray.storage.tables import OUTCOME_SCHEMA
from metamath_ray.types import (
    Augmentation,
    Completion,
    GradeVerdict,
    OutcomeStatus,
    Problem,
    RejectionReason,
    content_id,
)

ROWS_PER_BATCH = 1024

SAMPLE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        OUTCOME_SCHEMA.field("problem"),
        ("problem_id", pa.string()),
        ("sample_index", pa.int32()),
        ("seed", pa.int64()),
        ("completion", pa.string()),
        ("finish_reason", pa.string()),
        ("extracted_answer", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("num_prompt_tokens", pa.int32()),
        ("num_completion_tokens", pa.int32()),
        ("model", pa.string()),
        ("prompt_set_hash", pa.string()),
        ("score", pa.float32()),
    ]
)
"""One row a sample: `verdict` is a `GradeVerdict`, `reason` why it is not correct, `score` a verifier's S or null.

`sample_index` is 0, 1, … N-1 within a problem and a model. How the samples were drawn is in the run's manifest.
"""

SAMPLES_FILE, GREEDY_FILE = "samples.parquet", "greedy.parquet"
"""Names of the finished tables in the folder of a sampling run."""

_VERDICTS = {
    "": GradeVerdict.CORRECT,
    RejectionReason.WRONG_ANSWER: GradeVerdict.INCORRECT,
    RejectionReason.NO_ANSWER: GradeVerdict.INCORRECT,
    RejectionReason.TRUNCATED: GradeVerdict.INCORRECT,
    RejectionReason.UNDECIDED: GradeVerdict.UNSCORED,
}
_COLUMNS = [
    "item_id", "problem_id", "augmentation", "repeat", "problem", "status", "reason", "solution", "extracted_answer",
    "prompt_set_hash",
]  # fmt: skip
_COMPLETION_COLUMNS = ["seed", "finish_reason", "num_prompt_tokens", "num_completion_tokens", "model"]


def solution_id(question: str, solution: str) -> str:
    """Return the identity under which a solution is scored: equal texts to one question have one score."""
    return content_id((question, solution))


def sample_from_outcome(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn a row of `OUTCOME_SCHEMA` into one of `SAMPLE_SCHEMA`; None where it holds no sample of a problem itself.

    Answer augmentation asks the problem's own question, so its outcomes are samples; the other augmentations ask new
    questions. A failed item was never answered. A truncated completion, or one without an answer, is incorrect, as
    accuracy counts it; its null `extracted_answer` keeps it from voting and from training a verifier.
    """
    is_sample = row["augmentation"] == Augmentation.ANSWER_AUGMENTATION and row["status"] != OutcomeStatus.FAILED
    if not is_sample:
        return None
    return _sample_row(
        row["solution"],
        sample_id=row["item_id"],
        problem=row["problem"],
        problem_id=row["problem_id"],
        sample_index=row["repeat"],
        extracted_answer=row["extracted_answer"],
        reason=row["reason"],
        prompt_set_hash=row["prompt_set_hash"],
    )


def sample_to_row(
    problem: Problem,
    completion: Completion,
    *,
    sample_index: int,
    extracted_answer: str | None,
    reason: str,
    prompt_set_hash: str,
) -> dict[str, Any]:
    """Turn one graded completion into a row of `SAMPLE_SCHEMA`.

    Args:
        reason: "" where it is correct; otherwise WRONG_ANSWER, NO_ANSWER, TRUNCATED or UNDECIDED.
    """
    return _sample_row(
        {**asdict(completion), "finish_reason": str(completion.finish_reason)},
        sample_id=content_id((problem.problem_id, sample_index, completion.seed, completion.model)),
        problem=asdict(problem),
        problem_id=problem.problem_id,
        sample_index=sample_index,
        extracted_answer=extracted_answer,
        reason=reason,
        prompt_set_hash=prompt_set_hash,
    )


def _sample_row(completion: Mapping[str, Any], *, reason: str, **known: Any) -> dict[str, Any]:  # noqa: ANN401
    """Lay a completion's fields flat beside what is known of the sample."""
    return {
        **known,
        "completion": completion["text"],
        "verdict": str(_VERDICTS[reason]),
        "reason": reason,
        "score": None,
        **{name: completion[name] for name in _COMPLETION_COLUMNS},
    }


class SampleReading:
    """The samples of a bootstrap run as batches of rows, read while they are iterated.

    Attributes:
        num_failed: Answer augmentations that failed, and so are no samples, in the latest iteration.
        num_others: Outcomes of other augmentations, in the latest iteration.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self.num_failed = 0
        self.num_others = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.num_failed = self.num_others = 0
        samples = self._samples()
        while rows := list(islice(samples, ROWS_PER_BATCH)):
            yield pa.RecordBatch.from_pylist(rows, schema=SAMPLE_SCHEMA)

    def _samples(self) -> Iterator[dict[str, Any]]:
        for row in outcomes_in_plan_order(self._run, PlanIndex(self._run), _COLUMNS):
            sample = sample_from_outcome(row)
            if sample is not None:
                yield sample
            elif row["augmentation"] == Augmentation.ANSWER_AUGMENTATION:
                self.num_failed += 1
            else:
                self.num_others += 1


def read_samples(run: RunDirectory) -> SampleReading:
    """Read the samples of a bootstrap run lazily, each once, in the order of its plan."""
    return SampleReading(run)


def read_sample_table(path: str) -> Iterator[pa.RecordBatch]:
    """Stream the samples of a parquet file or of a folder of them, a path or a URL, as batches of `SAMPLE_SCHEMA`.

    Columns that the schema does not have are left out.

    Raises:
        DataError: There is none, it is no parquet, or a column is missing (before the first batch) or of another type.
    """
    fragments = _fragments(path)
    for fragment in fragments:
        missing = [name for name in SAMPLE_SCHEMA.names if name not in fragment.physical_schema.names]
        if missing:
            raise DataError(
                f"{fragment.path}: no column {', '.join(missing)}; a table of samples has the columns "
                f"{', '.join(SAMPLE_SCHEMA.names)}"
            )
    return _batches(fragments)


def _fragments(path: str) -> list[ds.ParquetFileFragment]:
    try:
        fragments = list(_dataset(path).get_fragments())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file or folder; expected a table of samples in parquet") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: is not a readable parquet file: {reason(error)}") from None
    if not fragments:
        raise DataError(f"{path}: holds no file; expected a table of samples in parquet")
    return fragments


def _dataset(path: str) -> ds.Dataset:
    if "://" not in path:
        return ds.dataset(path, format="parquet")
    filesystem, place = open_location(normalized(path))
    return ds.dataset(place, format="parquet", filesystem=filesystem)


def _batches(fragments: list[ds.ParquetFileFragment]) -> Iterator[pa.RecordBatch]:
    for fragment in fragments:
        try:
            for batch in fragment.to_batches(columns=SAMPLE_SCHEMA.names, batch_size=ROWS_PER_BATCH):
                yield batch.cast(SAMPLE_SCHEMA)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{fragment.path}: cannot be read as a table of samples: {reason(error)}") from None
