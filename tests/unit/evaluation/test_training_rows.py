"""The rows of a model's own training: found by what our checkpoints say, looked through, and told."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamath_ray.config import StageConfig
from metamath_ray.config.evaluate import SampleSetConfig
from metamath_ray.errors import ModelError
from metamath_ray.evaluation import Precision, Results, SampleSet, evaluate, open_sample_set
from metamath_ray.evaluation.contamination import contamination
from metamath_ray.evaluation.results import TrainingRows
from metamath_ray.evaluation.training_rows import training_rows_of
from metamath_ray.storage import Manifest, RunDirectory, item_to_row
from metamath_ray.storage.samples import SAMPLE_SCHEMA
from metamath_ray.types import Augmentation, Problem, WorkItem
from tests.unit.evaluation.tables import batches, sample_row

QUICK = Precision(num_orderings=2, num_resamples=100)
ASKED = {"base": ["What is 3 + 4?"]}
LEARNED = '{"query": "What is 3 + 4?", "response": "7"}\n'


def model(folder: Path, parent: str, **training: object) -> str:
    folder.mkdir(parents=True)
    (folder / "metamath_ray.json").write_text(json.dumps({"kind": "generator", "parent": parent, "training": training}))
    return str(folder)


def sampled_by(folder: Path, model: str) -> str:
    run = RunDirectory(str(folder))
    run.write_manifest(Manifest(content={}, configuration={"engine": {"kind": "serve", "model": model}}))
    run.write_table(pa.Table.from_pylist([sample_row()], schema=SAMPLE_SCHEMA), "samples.parquet")
    return str(folder)


def evaluated(path: str, *given: str) -> Results:
    return evaluate({"tuned": open_sample_set(SampleSetConfig(path=path))}, training_rows=given, precision=QUICK)


def rows(folder: Path, name: str = "rows.jsonl") -> str:
    (folder / name).write_text(LEARNED)
    return str(folder / name)


def found(model: str) -> TrainingRows:
    return training_rows_of({"engine": {"model": model}})


def test_the_rows_that_a_model_names_are_looked_through_by_themselves(tmp_path: Path) -> None:
    tuned = model(tmp_path / "run/generator/model", "Qwen/Qwen2.5-0.5B", solutions={"rows": rows(tmp_path)})
    results = evaluated(sampled_by(tmp_path / "samples", tuned))
    assert results.contamination == {"tuned": {"exact": 1, "template": 0, "ngram": 0}}
    assert results.training_rows == {"tuned": TrainingRows(looked_through=("rows.jsonl",))}


def test_rows_that_are_given_come_beside_them_and_once(tmp_path: Path) -> None:
    first, second = rows(tmp_path), rows(tmp_path, "more.jsonl")
    tuned = model(tmp_path / "run/generator/model", "a/b", solutions={"rows": first})
    results = evaluated(sampled_by(tmp_path / "samples", tuned), second, first)
    assert results.training_rows["tuned"].looked_through == ("more.jsonl", "rows.jsonl")


def test_rows_that_are_gone_are_told_and_not_counted(tmp_path: Path) -> None:
    tuned = model(tmp_path / "run/generator/model", "a/b", solutions={"rows": "/gone/rows.jsonl"})
    results = evaluated(sampled_by(tmp_path / "samples", tuned))
    assert results.contamination == {}
    assert results.training_rows == {"tuned": TrainingRows(left_out=("rows.jsonl",))}


def test_the_stages_before_count_too(tmp_path: Path) -> None:
    """Sequential multi-task training: generator, verifier, generator again."""
    run, samples = tmp_path / "run", sampled_by(tmp_path / "judged", "a/b")
    first = model(tmp_path / "older/generator/model", "a/b", solutions={"problems": {"path": rows(tmp_path)}})
    model(run / "generator/model", first, solutions={"rows": rows(tmp_path, "more.jsonl")}, samples=None)
    model(run / "verifier/model", "generator", solutions=None, samples={"path": samples})
    draw = {"path": None, "draw": {"problems": {"format": "huggingface", "path": "openai/gsm8k"}}}
    last = model(run / "again/model", "verifier", samples=draw)
    assert found(last) == TrainingRows(
        looked_through=(samples, str(tmp_path / "more.jsonl"), str(tmp_path / "rows.jsonl")), left_out=("openai/gsm8k",)
    )


def test_problems_with_columns_of_other_names_are_left_out_and_not_misread(tmp_path: Path) -> None:
    path = rows(tmp_path)
    problems = {"path": path, "fields": {"question": "prompt"}}
    tuned = model(tmp_path / "run/generator/model", "a/b", solutions={"problems": problems})
    assert found(tuned) == TrainingRows(left_out=(path,))


@pytest.mark.parametrize(
    "stage",
    [
        {"solutions": {"rows": "x.jsonl"}},
        {"solutions": {"problems": {"path": "x.jsonl"}}},
        {"samples": {"path": "x.jsonl"}},
        {"samples": {"draw": {"problems": {"path": "x.jsonl"}}}},
    ],
)
def test_what_a_stage_learns_from_is_found_in_what_fine_tuning_keeps_of_it(
    stage: dict[str, Any], tmp_path: Path
) -> None:
    kept = StageConfig.model_validate(stage).model_dump(mode="json")
    assert found(model(tmp_path / "run/generator/model", "a/b", seed=0, **kept)).left_out == ("x.jsonl",)


def test_of_several_tables_of_samples_each_is_found(tmp_path: Path) -> None:
    kept = StageConfig.model_validate({"samples": {"path": ["b.jsonl", "a.jsonl"]}}).model_dump(mode="json")
    assert found(model(tmp_path / "run/generator/model", "a/b", **kept)).left_out == ("b.jsonl", "a.jsonl")


def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    run = tmp_path / "run"
    model(run / "one/model", "two", solutions={"rows": rows(tmp_path)})
    assert found(model(run / "two/model", "one")).looked_through == (str(tmp_path / "rows.jsonl"),)


@pytest.mark.parametrize(
    "configuration",
    [{}, {"engine": None}, {"engine": {"model": "Qwen/Qwen2.5-0.5B"}}, {"engine": {"model": "embedded:teacher"}}],
)
def test_of_a_model_that_names_nothing_nothing_is_known(configuration: dict[str, Any]) -> None:
    assert training_rows_of(configuration) == TrainingRows()


def test_a_damaged_model_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metamath_ray.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        found(str(tmp_path))


def test_each_model_is_checked_against_its_own_rows(tmp_path: Path) -> None:
    own = TrainingRows(looked_through=(rows(tmp_path),))
    sets = {
        "tuned": SampleSet(samples=batches([sample_row()]), training_rows=own),
        "base": SampleSet(samples=batches([sample_row()])),
    }
    results = evaluate(sets, precision=QUICK)
    assert results.contamination == {"tuned": {"exact": 1, "template": 0, "ngram": 0}}
    assert results.training_rows["base"] == TrainingRows()


@pytest.mark.parametrize(
    "row",
    [
        {"query": "Something else?", "original_question": "What is 3 + 4?"},
        {"question": "What is 3 + 4?", "answer": "7"},
        {"problem": "What is 3 + 4?", "solution": "7"},
        {"problem": {"question": "What is 3 + 4?"}, "completion": "7"},
    ],
    ids=["bootstrapped", "gsm8k", "math", "samples"],
)
def test_a_question_is_found_in_rows_of_every_kind(row: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    counts = contamination(ASKED, {"base": [str(tmp_path / "rows.jsonl")]})
    assert counts == {"base": {"exact": 1, "template": 0, "ngram": 0}}


def test_of_a_run_without_data_set_and_samples_the_planned_problems_are_read(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    run.write_manifest(Manifest(content={}, configuration={}))
    problem = Problem(question="What is 3 + 4?", reference_answer="7")
    item = WorkItem(item_id="i", problem=problem, augmentation=Augmentation.ANSWER_AUGMENTATION, mask=None, repeat=0)
    run.write_plan([item_to_row(item, 0)])
    assert contamination(ASKED, {"base": [run.root]})["base"]["exact"] == 1


def test_of_a_run_directory_its_data_set_is_read(tmp_path: Path) -> None:
    run = RunDirectory(sampled_by(tmp_path / "run", "a/b"))
    run.write_table(pa.table({"query": ["What is 30 + 40?"]}), "dataset", "metamathqa.parquet")
    assert contamination(ASKED, {"base": [run.root]}) == {"base": {"exact": 0, "template": 1, "ngram": 0}}


def test_rows_in_a_bucket_are_read(tmp_path: Path) -> None:
    place = RunDirectory(f"fsspec+memory://{tmp_path.name}/data")
    place.write_bytes(LEARNED.encode(), "rows.jsonl")
    assert contamination(ASKED, {"base": [place.path("rows.jsonl")]})["base"]["exact"] == 1
    pq.write_table(pa.table({"query": ["What is 3 + 4?"]}), tmp_path / "rows.parquet")
    assert contamination(ASKED, {"base": [(tmp_path / "rows.parquet").as_uri()]})["base"]["exact"] == 1
