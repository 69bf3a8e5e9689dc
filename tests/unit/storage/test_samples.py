from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamath_ray.errors import DataError
from metamath_ray.storage import RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.samples import (
    ROWS_PER_BATCH,
    SAMPLE_SCHEMA,
    read_sample_table,
    read_samples,
    sample_from_outcome,
    sample_to_row,
)
from metamath_ray.types import Augmentation, FinishReason, Outcome, OutcomeStatus, RejectionReason
from tests.records import make_completion, make_item, make_outcome, make_problem


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    return outcome_to_row(outcome, position=0, prompt_set_hash="h", seconds=0.1)


def rejected(reason: RejectionReason, *, answer: str | None = None) -> dict[str, Any]:
    outcome = make_outcome(status=OutcomeStatus.REJECTED)
    return outcome_row(replace(outcome, reason=reason, extracted_answer=answer))


def sample_rows(num_rows: int) -> list[dict[str, Any]]:
    found = (sample_from_outcome(outcome_row(make_outcome(number))) for number in range(num_rows))
    return [row for row in found if row is not None]


def write(rows: list[dict[str, Any]], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), path)
    return path


def test_an_outcome_gives_every_column_of_its_sample() -> None:
    outcome = replace(make_outcome(5), solution=make_completion("It is 7.\nThe answer is: 7", seed=11))
    sample = sample_from_outcome(outcome_row(outcome))
    assert sample == {
        "sample_id": outcome.item.item_id,
        "problem": outcome_row(outcome)["problem"],
        "problem_id": outcome.item.problem.problem_id,
        "sample_index": 5,
        "seed": 11,
        "completion": "It is 7.\nThe answer is: 7",
        "finish_reason": "stop",
        "extracted_answer": "7",
        "verdict": "correct",
        "reason": "",
        "num_prompt_tokens": 10,
        "num_completion_tokens": 5,
        "model": "scripted",
        "prompt_set_hash": "h",
        "score": None,
    }
    assert set(sample) == set(SAMPLE_SCHEMA.names)


@pytest.mark.parametrize(
    ("reason", "answer", "verdict"),
    [
        (RejectionReason.WRONG_ANSWER, "8", "incorrect"),
        (RejectionReason.NO_ANSWER, None, "incorrect"),
        (RejectionReason.TRUNCATED, None, "incorrect"),
        (RejectionReason.UNDECIDED, "x^2", "unscored"),
    ],
)
def test_why_an_outcome_was_rejected_gives_the_verdict(
    reason: RejectionReason, answer: str | None, verdict: str
) -> None:
    sample = sample_from_outcome(rejected(reason, answer=answer))
    assert sample is not None
    assert (sample["verdict"], sample["reason"], sample["extracted_answer"]) == (verdict, reason, answer)


def test_a_truncated_sample_says_so_and_has_no_answer() -> None:
    cut = replace(make_completion("3 + 4 ="), finish_reason=FinishReason.LENGTH)
    row = {
        **rejected(RejectionReason.TRUNCATED),
        **{"solution": outcome_row(replace(make_outcome(), solution=cut))["solution"]},
    }
    sample = sample_from_outcome(row)
    assert sample is not None
    assert (sample["finish_reason"], sample["extracted_answer"]) == ("length", None)


def test_what_failed_or_asks_another_question_is_no_sample() -> None:
    failed = Outcome(item=make_item(), status=OutcomeStatus.FAILED, reason="request_rejected", error="too long")
    assert sample_from_outcome(outcome_row(failed)) is None
    other = replace(make_outcome(), item=make_item(augmentation=Augmentation.REPHRASING))
    assert sample_from_outcome(outcome_row(other)) is None


def test_a_run_is_read_once_each_in_the_order_of_its_plan(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path / "run"))
    num_items = ROWS_PER_BATCH + 10
    run.write_plan(item_to_row(make_item(number), number) for number in range(num_items))
    run.write_outcomes([outcome_row(make_outcome(n)) for n in reversed(range(1, num_items))], "b")
    failed = Outcome(item=make_item(0), status=OutcomeStatus.FAILED, reason="request_rejected")
    run.write_outcomes([outcome_row(failed), outcome_row(make_outcome(7)), outcome_row(make_outcome(9999))], "a")
    reading = read_samples(run)
    batches = list(reading)
    assert [batch.num_rows for batch in batches] == [ROWS_PER_BATCH, 9]
    assert all(batch.schema == SAMPLE_SCHEMA for batch in batches)
    indices = [index for batch in batches for index in batch.column("sample_index").to_pylist()]
    assert indices == list(range(1, num_items))
    assert (reading.num_failed, reading.num_others) == (1, 0)


def test_other_augmentations_of_a_run_are_counted_apart(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path / "run"))
    item = make_item(augmentation=Augmentation.REPHRASING)
    run.write_plan([item_to_row(item, 0)])
    run.write_outcomes([outcome_row(replace(make_outcome(), item=item))], "a")
    reading = read_samples(run)
    assert list(reading) == []
    assert (reading.num_failed, reading.num_others) == (0, 1)


def test_a_table_is_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    rows = sample_rows(6)
    path = write(rows[:3], tmp_path / "a.parquet")
    write(rows[3:], tmp_path / "b.parquet")
    assert [row for batch in read_sample_table(str(path)) for row in batch.to_pylist()] == rows[:3]
    assert [row for batch in read_sample_table(str(tmp_path)) for row in batch.to_pylist()] == rows


def test_wider_types_and_more_columns_are_read_as_the_schema_has_them(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**row, "score": 0.5, "more": 1} for row in sample_rows(2)])
    pq.write_table(table, tmp_path / "wide.parquet")
    (batch,) = read_sample_table(str(tmp_path / "wide.parquet"))
    assert batch.schema == SAMPLE_SCHEMA
    assert batch.column("score").to_pylist() == [0.5, 0.5]


def test_missing_columns_are_named_with_their_file_before_anything_is_read(tmp_path: Path) -> None:
    write(sample_rows(1), tmp_path / "a.parquet")
    partial = pq.read_table(tmp_path / "a.parquet").drop_columns(["verdict", "score"])
    pq.write_table(partial, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: no column verdict, score; .*sample_id, problem, problem_id"):
        read_sample_table(str(tmp_path))


def test_a_column_of_another_type_is_one_clear_error(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**row, "sample_index": "first"} for row in sample_rows(1)])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as a table of samples"):
        list(read_sample_table(str(tmp_path)))


def test_what_is_no_table_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_sample_table(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no file"):
        read_sample_table(str(tmp_path))
    (tmp_path / "a.parquet").write_text("text")
    with pytest.raises(DataError, match="not a readable parquet file"):
        read_sample_table(str(tmp_path))


def test_a_graded_completion_is_a_sample_with_an_id_of_its_own() -> None:
    problem, completion = make_problem(), make_completion(seed=3)
    settings: dict[str, Any] = {"extracted_answer": "8", "reason": RejectionReason.WRONG_ANSWER, "prompt_set_hash": "h"}
    rows = [sample_to_row(problem, completion, sample_index=index, **settings) for index in range(2)]
    [first, second] = pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA).to_pylist()
    assert (first["verdict"], first["reason"], first["extracted_answer"]) == ("incorrect", "wrong_answer", "8")
    assert (first["completion"], first["seed"], first["problem"]["question"]) == (completion.text, 3, problem.question)
    assert first["sample_id"] != second["sample_id"]
    assert set(rows[0]) == set(SAMPLE_SCHEMA.names)
