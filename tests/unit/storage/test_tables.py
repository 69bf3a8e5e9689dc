import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.storage import (
    OUTCOME_SCHEMA,
    PLAN_SCHEMA,
    item_from_row,
    item_to_row,
    outcome_from_row,
    outcome_to_row,
)
from metamath_ray.types import Augmentation, Problem
from tests.records import make_completion, make_item, make_outcome

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@given(question=texts, answer=texts, level=st.none() | texts, steps=st.none() | st.integers(0, 99))
def test_a_plan_row_gives_its_item_back(question: str, answer: str, level: str | None, steps: int | None) -> None:
    problem = Problem(question=question, reference_answer=answer, level=level, num_steps=steps)
    item = replace(make_item(3, augmentation=Augmentation.FOBAR), problem=problem)
    table = pa.Table.from_pylist([item_to_row(item, 5)], schema=PLAN_SCHEMA)
    assert item_from_row(table.to_pylist()[0]) == item


@given(text=texts, error=texts)
def test_an_outcome_row_gives_its_outcome_back(text: str, error: str) -> None:
    outcome = replace(make_outcome(1), rewrite=make_completion(text), error=error, extracted_answer=None)
    row = outcome_to_row(outcome, position=1, prompt_set_hash="abc", seconds=0.5)
    table = pa.Table.from_pylist([row], schema=OUTCOME_SCHEMA)
    assert outcome_from_row(table.to_pylist()[0]) == outcome


def test_rows_survive_parquet(tmp_path: Path) -> None:
    rows = [outcome_to_row(make_outcome(n), position=n, prompt_set_hash="h", seconds=0.0) for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows, schema=OUTCOME_SCHEMA), tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == rows


def test_records_pickle() -> None:
    assert pickle.loads(pickle.dumps(make_outcome(2))) == make_outcome(2)  # noqa: S301
