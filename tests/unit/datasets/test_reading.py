import contextlib
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.datasets import ProblemSource, read_problems
from metamath_ray.datasets.records import RawRecord, parse_record
from metamath_ray.errors import ConfigError, DataError
from metamath_ray.types import Problem

DATA = Path(__file__).parents[2] / "data" / "datasets"
MALFORMED: list[dict[str, str]] = json.loads((DATA / "malformed.json").read_text())
ROWS = [{"question": "One and one?", "answer": 2}, {"question": "Half of one?", "answer": 0.5}]


def read(path: Path, **settings: Any) -> list[Problem]:  # noqa: ANN401
    return list(read_problems(ProblemSource(path=str(path), **settings)))


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "source", "split", "answers"),
    [
        ("gsm8k.jsonl", "gsm8k", "train", ["18", "1250", "-4"]),
        ("gsm8k_backward.jsonl", "gsm8k_backward", "test", ["4", "250"]),
        ("math.jsonl", "math", "train", [r"\frac{3}{8}", "9"]),
        ("math500.jsonl", "math", "test", ["56"]),
    ],
)
def test_auto_tells_the_published_formats(name: str, source: str, split: str, answers: list[str]) -> None:
    problems = read(DATA / name)
    assert {(problem.source, problem.split) for problem in problems} == {(source, split)}
    assert [problem.reference_answer for problem in problems] == answers


def test_folder_of_json_files_in_number_order_with_the_split_of_each_folder() -> None:
    problems = read(DATA / "competition")
    assert [(problem.source_id, problem.split) for problem in problems] == [
        ("competition/test/geometry/1.json", "test"),
        ("competition/train/algebra/2.json", "train"),
        ("competition/train/algebra/10.json", "train"),
    ]


@pytest.mark.parametrize("settings", [{}, {"format": "gsm8k_backward"}], ids=["auto", "stated"])
def test_backward_rows_keep_their_original_and_tell_their_kind(settings: dict[str, Any]) -> None:
    problems = read(DATA / "gsm8k_backward.jsonl", **settings)
    assert [(problem.subject, problem.source, problem.split) for problem in problems] == [
        ("FOBAR", "gsm8k_backward", "test"),
        ("FOBAR", "gsm8k_backward", "test"),
    ]
    assert problems[0].source_id.startswith("A baker fills 4 trays with 12 rolls each")
    assert not any(problem.reference_solution for problem in problems)


def test_an_original_question_about_a_train_is_no_training_row(tmp_path: Path) -> None:
    row: dict[str, object] = {"question": "A train has x cars. What is the value of unknown variable x?", "answer": 9}
    path = write_lines(tmp_path / "x.jsonl", [row | {"original_question": "A train has 9 cars. How many?"}])
    assert read(path)[0].split == "test"


def test_stated_split_and_name_win() -> None:
    (problem,) = read(DATA / "math500.jsonl", split="train", name="mine")
    assert (problem.split, problem.source) == ("train", "mine")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("dev.jsonl", "validation"),
        ("my-test-set.jsonl", "test"),
        ("contest.jsonl", "train"),
        ("VAL.jsonl", "validation"),
    ],
)
def test_split_out_of_the_file_name(tmp_path: Path, name: str, split: str) -> None:
    assert read(write_lines(tmp_path / name, ROWS))[0].split == split


@pytest.mark.parametrize("kind", ["lines", "array", "gzip", "parquet", "byte_order_mark", "windows"])
def test_containers_hold_the_same_problems(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sums.data"
    lines = "\n".join(json.dumps(row) for row in ROWS)
    match kind:
        case "lines":
            path.write_text(lines)
        case "array":
            path.write_text(json.dumps(ROWS, indent=2))
        case "gzip":
            path = tmp_path / "sums.data.gz"
            path.write_bytes(gzip.compress(lines.encode()))
        case "parquet":
            floats = [{**row, "answer": float(str(row["answer"]))} for row in ROWS]
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(floats), path)
        case "byte_order_mark":
            path.write_text("\ufeff" + lines, encoding="utf-8")
        case "windows":
            path.write_bytes(lines.replace("\n", "\r\n").encode())
    problems = read(path)
    assert [(problem.question, problem.reference_answer) for problem in problems] == [
        ("One and one?", "2"),
        ("Half of one?", "0.5"),
    ]
    assert problems[1].source_id == f"{path.name}:2"
    assert problems[0].source == "sums"


def test_array_longer_than_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metamath_ray.datasets.files._CHUNK_CHARACTERS", 64)
    path = tmp_path / "long.json"
    path.write_text(json.dumps([{"question": f"{n}?", "answer": n} for n in range(200)], indent=1))
    assert [problem.reference_answer for problem in read(path)] == [str(n) for n in range(200)]


def test_folder_of_parquet_files(tmp_path: Path) -> None:
    for part in range(2):
        table = pyarrow.Table.from_pylist([{"question": f"{part}?", "answer": part}])
        pyarrow.parquet.write_table(table, tmp_path / f"{part}.parquet")
    assert [problem.question for problem in read(tmp_path)] == ["0?", "1?"]


def test_fields_name_columns_even_nested_ones(tmp_path: Path) -> None:
    row = {
        "q": "One?",
        "gold": {"value": 1, "why": "by counting"},
        "kind": "sums",
        "no": 7,
        "steps": 1,
        "difficulty": 3,
    }
    fields = {"question": "q", "answer": "gold.value", "solution": "gold.why", "subject": "kind", "id": "no"}
    fields |= {"num_steps": "steps", "level": "difficulty"}
    (problem,) = read(write_lines(tmp_path / "x.jsonl", [row]), fields=fields)
    assert problem == Problem(
        question="One?",
        reference_answer="1",
        reference_solution="by counting",
        source="x",
        source_id="7",
        subject="sums",
        level="3",
        num_steps=1,
    )


def test_a_stated_math_format_takes_the_answer_out_of_another_column() -> None:
    path = DATA / "math.jsonl"
    extracted = read(path, format="math", fields={"answer": "answer_extracted"})
    assert [(one.reference_answer, one.subject, one.level) for one in extracted] == [
        (one.reference_answer, one.subject, one.level) for one in read(path)
    ]
    assert [(one.subject, one.level) for one in read(DATA / "math500.jsonl", format="math")] == [("Prealgebra", "1")]


def test_gsm8k_answers_in_another_column(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", [{"question": "One?", "ground_truth": "It is <<1=1>>1.\nA: 1"}])
    (problem,) = read(path, format="gsm8k", fields={"answer": "ground_truth"})
    assert (problem.reference_answer, problem.reference_solution) == ("1", "It is 1.")


def test_a_bad_first_record_does_not_make_worked_answers_final_ones(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": "One?", "answer": "1"},
        {"question": "Two?", "answer": "1+1=2\n#### 2"},
    ]
    with pytest.raises(DataError, match=r"x.jsonl:2: field 'answer': expected the final answer alone .*format gsm8k"):
        read(write_lines(tmp_path / "x.jsonl", rows))


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case["id"])
def test_malformed_record_is_named(tmp_path: Path, case: dict[str, Any]) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(case["content"].encode("latin-1"))
    with pytest.raises(DataError) as raised:
        read(path, format=case["format"])
    assert case["message"] in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b'{"a":' * 100_000, b'{"question": "a?", "answer": ' + b"9" * 5000 + b"}"], ids=["deep", "long number"]
)
def test_hostile_json_is_malformed_and_no_more(content: bytes) -> None:
    with pytest.raises(DataError, match="x:1: expected one JSON object"):
        parse_record(RawRecord(location="x:1", source_id="x:1", content=content))


@settings(deadline=None)
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_line_is_a_record_or_a_data_error(content: bytes) -> None:
    with contextlib.suppress(DataError):
        record = parse_record(RawRecord(location="x:1", source_id="x:1", content=content))
        assert isinstance(record.values, dict)


def test_skip_invalid_lists_what_it_skipped(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text('nonsense\n{"question": "a?"}\n{"question": "a?", "answer": 1}\n{"question": "", "answer": 1}\n')
    reading = read_problems(ProblemSource(path=str(path)), skip_invalid=True)
    for _ in range(2):
        assert [problem.source_id for problem in reading] == ["mixed.jsonl:3"]
        assert [message.split(": ")[0].rpartition("/")[2] for message in reading.invalid] == [
            f"mixed.jsonl:{line}" for line in (1, 2, 4)
        ]


def test_skip_invalid_does_not_make_nothing_out_of_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("nonsense\n" * 3)
    with pytest.raises(DataError, match=r"no record is valid; the first one: .*bad.jsonl:1"):
        list(read_problems(ProblemSource(path=str(path)), skip_invalid=True))


def test_limit_counts_valid_problems_and_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('bad\n{"question": "a?", "answer": 1}\n{"question": "b?", "answer": 1}\nbad\n')
    reading = read_problems(ProblemSource(path=str(path), limit=2), skip_invalid=True)
    assert [problem.question for problem in reading] == ["a?", "b?"]
    assert len(reading.invalid) == 1


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "holds no *.json and no *.parquet file"),
        (lambda path: path.write_bytes(b"PAR1 and no more"), "is not a readable parquet file"),
    ],
    ids=["missing", "empty folder", "damaged parquet"],
)
def test_unreadable_source(tmp_path: Path, prepare: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "source.jsonl"
    prepare(path)
    with pytest.raises(DataError) as raised:
        read(path)
    assert message in str(raised.value)


def test_cut_off_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress((DATA / "gsm8k.jsonl").read_bytes())[:-9])
    with pytest.raises(DataError, match="is not a complete gzip file"):
        read(path)


def test_word_problems_come_from_the_generator() -> None:
    source = ProblemSource(format="word_problems", limit=5, seed=3, split="test")
    problems = list(read_problems(source))
    assert len(problems) == 5
    assert {(problem.source, problem.split) for problem in problems} == {("word_problems", "test")}
    assert problems == list(read_problems(source))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "csv", "path": "x"}, "format 'csv' is none of auto, gsm8k"),
        ({"format": "gsm8k"}, "format 'gsm8k' needs `path`"),
        ({"format": "word_problems"}, "needs `limit`"),
        ({"path": "x", "limit": 0}, "limit 0 is less than 1"),
        ({"path": "x", "split": "dev"}, "split 'dev' is none of train, validation, test"),
        ({"path": "x", "fields": {"query": "q"}}, "'query' is none of the roles question, answer"),
    ],
)
def test_impossible_source(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ProblemSource(**settings)
    assert message in str(raised.value)


def test_content_decides_identity_and_not_the_container(tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    shutil.copy(DATA / "gsm8k.jsonl", copy)
    assert [p.problem_id for p in read(copy)] == [p.problem_id for p in read(DATA / "gsm8k.jsonl")]
