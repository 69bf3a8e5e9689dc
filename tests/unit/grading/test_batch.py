"""`grade_file`: order, fields, broken lines, workers, standard streams."""

import io
import json
from pathlib import Path

import pytest

from metamath_ray.errors import DataError
from metamath_ray.grading.batch import LINES_PER_TASK, grade_file

LINES = [
    '{"id": 1, "completion": "The answer is: 5", "reference_answer": "5"}',
    "{broken",
    '{"id": 2, "answer": "1/2", "reference_answer": 0.5}',
    "",
    '{"id": 3, "answer": "7"}',
    "[1]",
    '{"id": 4, "completion": "The answer is: 6", "reference_answer": "5"}',
    '{"id": 5, "answer": "6", "reference_answer": ""}',
]


def test_rows_counts_and_broken_lines(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(LINES))
    reported: list[tuple[int, str]] = []
    counts = grade_file(str(source), str(target), report=lambda number, message: reported.append((number, message)))
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["id"], row["verdict"]) for row in rows] == [
        (1, "correct"),
        (2, "correct"),
        (4, "incorrect"),
        (5, "unscored"),
    ]
    assert rows[0]["extracted"] == "5"
    assert rows[3]["reason"] == "no_reference"
    assert [number for number, _ in reported] == [2, 5, 6]
    assert "'reference_answer' is missing" in reported[1][1]
    assert (counts.correct, counts.incorrect, counts.unscored, counts.broken, counts.total) == (2, 1, 1, 3, 7)


def test_workers_keep_the_order(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    number_of_lines = 2 * LINES_PER_TASK + 7
    rows = [{"id": n, "answer": str(n), "reference_answer": str(n - n % 2)} for n in range(number_of_lines)]
    source.write_text("\n".join(map(json.dumps, rows)))
    counts = grade_file(str(source), str(target), workers=2)
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == list(range(number_of_lines))
    assert counts.correct == number_of_lines // 2 + 1


def test_standard_streams(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(LINES)))
    counts = grade_file("-", "-")
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == counts.total - counts.broken
    assert "line 2: not JSON" in captured.err


def test_missing_input_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        grade_file(str(tmp_path / "none.jsonl"), "-")
