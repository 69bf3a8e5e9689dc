import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml

from metamath_ray.datasets import Decontaminator
from metamath_ray.errors import RunDirectoryError
from metamath_ray.export import Rejected, Selected, read_rows, select_rows, write_export
from metamath_ray.storage.publishing import publishable
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus

FILES = ["README.md", "metamathqa.jsonl", "metamathqa.parquet", "rejected.jsonl"]


@pytest.fixture
def selection(make_outcome: Callable[..., Outcome]) -> list[Selected | Rejected]:
    outcomes = [
        make_outcome(0),
        make_outcome(0),
        make_outcome(1, status=OutcomeStatus.REJECTED, reason="wrong_answer"),
        make_outcome(2, augmentation=Augmentation.FOBAR, query="x | y?\nIf …"),
        make_outcome(3, question="A test question?"),
    ]
    return list(select_rows(outcomes, decontaminator=Decontaminator([("/data/sets/exam", "a test QUESTION")])))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_folder_holds_rows_rejections_and_card(tmp_path: Path, selection: list[Selected | Rejected]) -> None:
    summary = write_export(selection, tmp_path / "a" / "dataset", {"seed": 7})
    folder = tmp_path / "a" / "dataset"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    rows = lines(folder / "metamathqa.jsonl")
    assert [list(row) for row in rows] == [["query", "response", "type", "original_question"]] * 2
    assert [row.as_dict() for row in read_rows(folder / "metamathqa.parquet")] == rows
    assert [(row["reason"], row["type"]) for row in lines(folder / "rejected.jsonl")] == [
        ("duplicate", "GSM_AnsAug"),
        ("wrong_answer", "GSM_AnsAug"),
        ("contaminated", "GSM_AnsAug"),
    ]
    assert (summary.num_exported, summary.num_rejected, summary.num_problems) == (2, 3, 1)


def test_counts_by_augmentation(tmp_path: Path, selection: list[Selected | Rejected]) -> None:
    summary = write_export(selection, tmp_path, {})
    counts = summary.by_augmentation[Augmentation.ANSWER_AUGMENTATION]
    assert (counts.num_items, counts.num_accepted, counts.num_exported) == (4, 3, 1)
    assert counts.rejected == {"duplicate": 1, "wrong_answer": 1, "contaminated": 1}
    assert counts.duplicate_rate == pytest.approx(1 / 3)
    assert counts.mean_tokens == 5
    untouched = summary.by_augmentation[Augmentation.REPHRASING]
    assert (untouched.duplicate_rate, untouched.mean_tokens) == (0, 0)


def test_table_says_where_each_row_comes_from(tmp_path: Path, selection: list[Selected | Rejected]) -> None:
    write_export(selection, tmp_path, {})
    row = pyarrow.parquet.read_table(tmp_path / "metamathqa.parquet").to_pylist()[1]
    item = selection[3].outcome.item
    expected = {
        "item_id": item.item_id,
        "problem_id": item.problem.problem_id,
        "source": "gsm8k",
        "source_id": "x:1",
        "split": "train",
        "augmentation": "fobar",
        "repeat": 2,
        "answer": "48",
        "model": "teacher",
        "rewrite_seed": None,
        "solution_seed": 1,
    }
    assert row | expected == row


def test_more_rows_than_a_batch(
    tmp_path: Path, make_outcome: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metamath_ray.export.writer._BATCH", 3)
    write_export(select_rows(make_outcome(number) for number in range(10)), tmp_path, {})
    assert len(lines(tmp_path / "metamathqa.jsonl")) == 10
    assert pyarrow.parquet.read_table(tmp_path / "metamathqa.parquet").num_rows == 10


def test_nothing_selected_is_still_a_data_set(tmp_path: Path) -> None:
    assert write_export([], tmp_path, {}).num_exported == 0
    assert pyarrow.parquet.read_table(tmp_path / "metamathqa.parquet").num_rows == 0


def test_a_break_leaves_the_earlier_export_as_it_was(tmp_path: Path, selection: list[Selected | Rejected]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_export(selection, tmp_path, {})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken() -> Iterator[Selected | Rejected]:
        yield selection[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(RunDirectoryError, match="cannot be written: No space left on device"):
        write_export(broken(), tmp_path, {})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert sorted(before) == sorted([*FILES, "notes.txt"])


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("")
    with pytest.raises(RunDirectoryError, match="dataset: cannot be written"):
        write_export([], tmp_path / "dataset", {})


def test_card_is_what_the_hub_reads(tmp_path: Path, selection: list[Selected | Rejected]) -> None:
    write_export(selection, tmp_path, {"prompt_set": "metamath", "versions": {"vllm": "0.29.0"}})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["license"], header["size_categories"]) == ("mit", ["n<1K"])
    assert header["configs"][0]["data_files"][0]["path"] == "metamathqa.parquet"
    for part in (
        "| AnsAug | 4 | 3 | 1 | 33.3% | 5.0 |",
        "| wrong_answer | 1 | 0 | 0 | 0 |",
        "| exact | exam | 1 | removed |",
        "prompt_set: metamath\nversions:\n  vllm: 0.29.0\n",
        "- Seeds `gsm8k`: GSM8K (Cobbe et al., 2021)",
        'load_dataset("parquet"',
    ):
        assert part in card


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"api_key": "sk-1", "hf_token": "x", "password": "x"},
            dict.fromkeys(["api_key", "hf_token", "password"], "(hidden)"),
        ),
        ({"api_key": None, "max_tokens": 5, "keyword": "a"}, {"api_key": None, "max_tokens": 5, "keyword": "a"}),
        ("/srv/data/train.jsonl", "train.jsonl"),
        ("read ~/models/teacher, then /mnt/a b", "read teacher, then a b"),
        (Path("/home/someone/models/teacher"), "teacher"),
        ("openai/gsm8k at 1/2", "openai/gsm8k at 1/2"),
        ("http://someone:word@host:8000/v1/chat", "http://host:8000/v1/chat"),
        ((1, 2.5, True, None, Augmentation.FOBAR), [1, 2.5, True, None, "fobar"]),
    ],
    ids=str,
)
def test_card_shows_no_secrets_and_no_machine_paths(value: object, expected: object) -> None:
    assert publishable(value) == expected
