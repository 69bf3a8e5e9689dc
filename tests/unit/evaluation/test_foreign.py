"""Other tools' files: a few lines by hand of each kind, and what is wrong with a line, in one line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamath_ray.config.evaluate import SampleSetConfig
from metamath_ray.errors import ConfigError, DataError
from metamath_ray.evaluation.foreign import read_completions, read_lm_eval
from metamath_ray.evaluation.inputs import open_sample_set
from metamath_ray.evaluation.model_evaluation import SampleSet
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.storage import Manifest, RunDirectory
from metamath_ray.storage.samples import SAMPLE_SCHEMA
from tests.unit.evaluation.tables import batches, sample_row

RIGHT, WRONG = r"3 + 4 = 7, so \boxed{7}.", "It is eight.\nThe answer is: 8"
QUESTION = {"question": "What is 3 + 4?", "answer": "7"}


def written(path: Path, *records: object) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def rows_of(path: str, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [row for batch in read_completions(path, **options) for row in batch.to_pylist()]


def log_line(doc_id: int, responses: list[str], **fields: object) -> dict[str, object]:
    document = {"question": "What is 3 + 4?", "answer": "3 + 4 = 7\n#### 7"}
    return {"doc_id": doc_id, "doc": document, "target": document["answer"], "resps": [responses], **fields}


def test_a_list_of_completions_is_graded_by_us(tmp_path: Path) -> None:
    record = {"problem": "What is 3 + 4?", "gt": 7, "code": [RIGHT, WRONG, ""], "score": [False] * 3}
    rows = rows_of(written(tmp_path / "run.jsonl", record))
    assert [(row["sample_index"], row["verdict"], row["reason"]) for row in rows] == [
        (0, "correct", ""),
        (1, "incorrect", "wrong_answer"),
        (2, "incorrect", "no_answer"),
    ]
    assert [row["extracted_answer"] for row in rows] == ["7", "8", None]
    assert {row["model"] for row in rows} == {"run"}
    assert [row["score"] for row in rows] == [None] * 3


def test_what_a_file_does_not_say_is_null(tmp_path: Path) -> None:
    (row,) = rows_of(written(tmp_path / "run.jsonl", QUESTION | {"completion": RIGHT}))
    unknown = ("seed", "num_prompt_tokens", "num_completion_tokens", "finish_reason", "score")
    assert all(row[name] is None for name in unknown)
    assert (row["problem"]["level"], row["problem"]["subject"]) == (None, None)


def test_lines_of_one_question_are_samples_of_one_problem(tmp_path: Path) -> None:
    lines = [QUESTION | {"completion": text} for text in (RIGHT, WRONG, RIGHT)]
    rows = rows_of(written(tmp_path / "run.jsonl", *lines))
    assert [row["sample_index"] for row in rows] == [0, 1, 2]
    assert len({row["problem_id"] for row in rows}) == 1


def test_of_the_first_problems_every_completion_is_read(tmp_path: Path) -> None:
    lines = [QUESTION | {"question": f"{number}?", "completion": RIGHT} for number in (0, 1, 2, 0, 2, 1)]
    path = written(tmp_path / "run.jsonl", *lines)
    found = [(row["problem"]["question"], row["sample_index"]) for row in rows_of(path, num_problems=2)]
    assert found == [("0?", 0), ("1?", 0), ("0?", 1), ("1?", 1)]
    assert rows_of(path, num_problems=0) == []


def test_fields_are_named_by_the_user(tmp_path: Path) -> None:
    record = {"q": "What is 3 + 4?", "right": "7", "out": {"text": RIGHT}, "who": "m1", "difficulty": 3, "p": 0.25}
    fields = {
        "question": "q",
        "reference_answer": "right",
        "completion": "out.text",
        "model": "who",
        "level": "difficulty",
        "score": "p",
    }
    (row,) = rows_of(written(tmp_path / "run.jsonl", record), fields=fields)
    assert (row["verdict"], row["model"], row["problem"]["level"], row["score"]) == ("correct", "m1", "3", 0.25)


def test_a_truncated_completion_states_no_answer(tmp_path: Path) -> None:
    record = QUESTION | {"responses": [RIGHT, RIGHT, RIGHT], "finish_reasons": ["stop", "length", "weird"]}
    rows = rows_of(written(tmp_path / "run.jsonl", record))
    assert [row["finish_reason"] for row in rows] == ["stop", "length", "other"]
    assert [row["reason"] for row in rows] == ["", "truncated", "truncated"]
    assert [row["extracted_answer"] for row in rows] == ["7", None, None]


def test_a_worked_reference_is_read_for_its_final_answer(tmp_path: Path) -> None:
    record = {"question": "What is 3 + 4?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7", "completion": RIGHT}
    (row,) = rows_of(written(tmp_path / "run.jsonl", record))
    assert (row["problem"]["reference_answer"], row["verdict"]) == ("7", "correct")


def test_rewards_become_probabilities_when_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "run.jsonl", QUESTION | {"code": [RIGHT] * 3, "pred_score": [[0.0], 3.0, -800]})
    scores = [row["score"] for row in rows_of(path, scores="log_odds")]
    assert scores == pytest.approx([0.5, 0.952574, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"answer": "7", "completion": "x"}, "field 'question': expected the question (name its field with `fields`)"),
        ({"question": "?", "completion": "x"}, "field 'reference_answer': expected the reference answer"),
        ({"question": "?", "answer": "7"}, "field 'completion': expected a completion or a list of them"),
        (QUESTION | {"completions": []}, "field 'completions': expected a completion or a list of them"),
        (QUESTION | {"completions": ["x", 3]}, "field 'completions': expected a completion or a list of them"),
        (
            QUESTION | {"completion": "x", "score": 3.5},
            "field 'score': expected S from 0 to 1 (for rewards or log-odds",
        ),
        (QUESTION | {"completion": "x", "scores": [0.1, 0.2]}, "field 'scores': expected 1 scores, one a completion"),
        (QUESTION | {"completion": "x", "score": "good"}, "field 'score': expected numbers, got 'good'"),
        (QUESTION | {"completion": "x", "finish_reason": 3}, "field 'finish_reason': expected a finish reason"),
        ([1], "expected one JSON object"),
    ],
)
def test_a_malformed_line_is_named_with_file_line_and_field(tmp_path: Path, record: object, message: str) -> None:
    path = written(tmp_path / "run.jsonl", QUESTION | {"completion": RIGHT}, record)
    with pytest.raises(DataError) as error:
        rows_of(path)
    assert str(error.value).startswith(f"{path}:2: {message}")
    assert "\n" not in str(error.value)


def test_an_unknown_field_of_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match="fields: 'gold' is none of question, reference_answer"):
        read_completions("run.jsonl", fields={"gold": "gt"})


def test_a_log_of_lm_eval_is_read_once_for_all_its_filters(tmp_path: Path) -> None:
    folder = tmp_path / "meta__llama"
    folder.mkdir()
    path = written(
        folder / "samples_gsm8k_2026.jsonl",
        log_line(0, [RIGHT, WRONG], filter="strict-match", exact_match=1.0),
        log_line(0, [RIGHT, WRONG], filter="flexible-extract", exact_match=1.0),
    )
    rows = [row for batch in read_lm_eval(path) for row in batch.to_pylist()]
    assert [(row["sample_index"], row["verdict"]) for row in rows] == [(0, "correct"), (1, "incorrect")]
    assert rows[0]["model"] == "meta__llama"
    assert rows[0]["problem"]["source"] == "samples_gsm8k_2026"


@pytest.mark.parametrize(
    "arguments", [{"gen_args_0": {"arg_0": "What is 3 + 4?", "arg_1": {}}}, [["What is 3 + 4?", {}]]]
)
def test_a_document_without_a_question_has_its_prompt(tmp_path: Path, arguments: object) -> None:
    path = written(tmp_path / "samples.jsonl", log_line(0, [RIGHT], doc={"x": 1}, arguments=arguments))
    (row,) = [row for batch in read_lm_eval(path) for row in batch.to_pylist()]
    assert row["problem"]["question"] == "What is 3 + 4?"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (log_line(0, [], resps=[[[-1.5, True]]]), "field 'resps': expected one list of generated texts"),
        (log_line(0, [RIGHT], target=None), "field 'target': expected the reference answer"),
        (log_line(0, [RIGHT], doc={}), "field 'doc': expected a document with question or problem"),
    ],
)
def test_a_malformed_log_is_named_with_file_line_and_field(
    tmp_path: Path, line: dict[str, object], message: str
) -> None:
    path = written(tmp_path / "samples.jsonl", line)
    with pytest.raises(DataError, match=rf"samples\.jsonl:1: {message}"):
        list(read_lm_eval(path))


def table_of(number: int) -> pa.Table:
    return pa.Table.from_batches(batches([sample_row(index=index) for index in range(number)]), SAMPLE_SCHEMA)


def num_samples(tables: SampleSet) -> int:
    return read_problem_samples(tables.samples).num_samples


def test_the_kind_of_a_file_is_told_by_looking_at_it(tmp_path: Path) -> None:
    table = tmp_path / "samples.parquet"
    pq.write_table(table_of(2), table)
    lines = written(tmp_path / "lines.jsonl", QUESTION | {"completions": [RIGHT] * 3})
    log = written(tmp_path / "log.jsonl", log_line(0, [RIGHT] * 4))
    found = [num_samples(open_sample_set(SampleSetConfig(path=path))) for path in (str(table), lines, log)]
    assert found == [2, 3, 4]


def test_a_run_brings_its_greedy_samples_and_its_manifest(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    run.write_manifest(Manifest(content={"model": "m"}, configuration={}))
    run.write_table(table_of(4), "samples.parquet")
    run.write_table(table_of(1), "greedy.parquet")
    tables = open_sample_set(SampleSetConfig(path=str(tmp_path)))
    assert num_samples(tables) == 4
    assert tables.greedy is not None
    assert read_problem_samples(tables.greedy).num_samples == 1
    assert tables.manifest["content"] == {"model": "m"}


@pytest.fixture(params=["path", "file URL", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the same folder as a path, and as a bucket's URL."""
    memory = f"fsspec+memory://{tmp_path.name}/run"
    return {"path": str(tmp_path), "file URL": tmp_path.as_uri(), "memory": memory}[request.param]


def test_a_run_is_read_wherever_it_lies(place: str) -> None:
    run = RunDirectory(place)
    run.write_manifest(Manifest(content={"model": "m"}, configuration={}))
    run.write_table(table_of(4), "samples.parquet")
    run.write_table(table_of(1), "greedy.parquet")
    tables = open_sample_set(SampleSetConfig(path=place, validation=run.path("samples.parquet")))
    assert tables.greedy is not None
    assert tables.validation is not None
    counts = [read_problem_samples(one).num_samples for one in (tables.samples, tables.greedy, tables.validation)]
    assert counts == [4, 1, 4]
    assert tables.manifest["content"] == {"model": "m"}


def test_other_tools_files_are_read_wherever_they_lie(place: str) -> None:
    run = RunDirectory(place)
    run.write_bytes(json.dumps(QUESTION | {"completions": [RIGHT] * 3}).encode(), "lines.jsonl")
    run.write_bytes(json.dumps(log_line(0, [RIGHT] * 4)).encode(), "some-model", "log.jsonl")
    run.write_table(table_of(2), "tables", "part.parquet")
    names = (("lines.jsonl",), ("some-model", "log.jsonl"), ("tables",))
    tables = [open_sample_set(SampleSetConfig(path=run.path(*name))) for name in names]
    read = [read_problem_samples(one.samples) for one in tables]
    assert [one.num_samples for one in read] == [3, 4, 2]
    assert [one.model for one in read] == ["lines", "some-model", "scripted"]


def test_what_is_missing_in_a_bucket_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file or folder"):
        open_sample_set(SampleSetConfig(path=f"fsspec+memory://{tmp_path.name}/none.jsonl"))


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    pq.write_table(table_of(2), tmp_path / "samples.parquet")
    assert num_samples(open_sample_set(SampleSetConfig(path="~/samples.parquet"))) == 2


def test_an_unfinished_run_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    RunDirectory(str(tmp_path)).write_manifest(Manifest(content={}, configuration={}))
    with pytest.raises(DataError, match=r"a run without samples\.parquet; let `sample` finish it first"):
        open_sample_set(SampleSetConfig(path=str(tmp_path)))
    with pytest.raises(DataError, match=r"none\.jsonl: no such file or folder"):
        open_sample_set(SampleSetConfig(path=str(tmp_path / "none.jsonl")))


def test_a_validation_set_is_named_by_its_path(tmp_path: Path) -> None:
    lines = written(tmp_path / "lines.jsonl", QUESTION | {"completion": RIGHT})
    tables = open_sample_set(SampleSetConfig(path=lines, validation=lines))
    assert (tables.validation_name, tables.manifest, tables.greedy) == (lines, {}, None)
