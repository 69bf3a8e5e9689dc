import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import evaluate as evaluate_job
from metamath_ray.cli import main
from metamath_ray.config import EvaluateConfig, SourceConfig
from metamath_ray.datasets import ProblemSource, read_problems
from metamath_ray.errors import ConfigError, RunDirectoryError
from metamath_ray.evaluation import foreign
from metamath_ray.exits import JOB_MARK
from metamath_ray.grading import grade
from metamath_ray.measuring import RESULTS_FILE, evaluate_tables, read_results, read_shown, report
from metamath_ray.storage.samples import SAMPLE_SCHEMA, sample_to_row
from metamath_ray.types import Completion, FinishReason, Problem
from tests.unit.evaluation.tables import batches, synthetic_problems


def config(folder: Path) -> EvaluateConfig:
    table = pa.Table.from_batches(batches(synthetic_problems(6, 4, seed=1)))
    pq.write_table(table, folder / "samples.parquet")
    models = {"teacher": {"path": str(folder / "samples.parquet")}}
    settings = {"models": models, "output": str(folder / "evaluation"), "num_resamples": 100, "num_orderings": 4}
    return EvaluateConfig.model_validate(settings)


def test_an_evaluation_can_be_reported_anew(tmp_path: Path) -> None:
    results, shown = evaluate_tables(config(tmp_path))
    page = Path(report(config(tmp_path), results, shown))
    first = page.read_text()
    assert "teacher" in first
    assert read_results(config(tmp_path)).evaluations[0].name == "teacher"
    page.unlink()
    assert read_shown(config(tmp_path)) == shown
    assert Path(report(config(tmp_path), read_results(config(tmp_path)), shown)).is_file()
    assert {"versions", "hardware", "time", "seed"} <= results.environment.keys()


def test_subjects_and_levels_of_any_json_lines_reach_the_results(tmp_path: Path) -> None:
    """What `sample` makes of a user's own file: source → problems → rows of the table → parts of the accuracy."""
    lines = [
        {"prompt": f"Sum {place}?", "gold": {"final": place}, "area": f"area {place % 2}", "hard": place % 3}
        for place in range(6)
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fields = {"question": "prompt", "answer": "gold.final", "subject": "area", "level": "hard"}
    settings = SourceConfig(path=str(tmp_path / "mine.jsonl"), fields=fields, split="test")
    problems = list(read_problems(ProblemSource(**settings.model_dump(exclude={"skip_invalid"}))))
    rows = [row_of(problem) for problem in problems]
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), tmp_path / "samples.parquet")
    models = {"mine": {"path": str(tmp_path / "samples.parquet")}}
    asked = {"models": models, "output": str(tmp_path / "evaluation"), "num_resamples": 100, "num_orderings": 1}
    groups = evaluate_tables(EvaluateConfig.model_validate(asked))[0].evaluations[0].groups
    assert [(one.name, one.num_problems) for one in groups["subject"]] == [("area 0", 3), ("area 1", 3)]
    assert [(one.name, one.num_problems) for one in groups["level"]] == [(f"level {one}", 2) for one in range(3)]


def row_of(problem: Problem) -> dict[str, Any]:
    text = f"The answer is: {problem.reference_answer}"
    completion = Completion(
        text=text, finish_reason=FinishReason.STOP, num_prompt_tokens=1, num_completion_tokens=1, seed=0, model="m"
    )
    answer = problem.reference_answer
    return sample_to_row(
        problem, completion, sample_index=0, extracted_answer=answer, reason="", prompt_set_hash="prompts"
    )


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=RESULTS_FILE):
        read_results(config(tmp_path))


def test_the_command_prints_each_model_and_where_the_report_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(json.dumps(config(tmp_path).model_dump(mode="json")))
    assert main(["evaluate", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "Maj1@N" in said
    assert f"report: {tmp_path}/evaluation/index.html" in said
    assert main(["report", "--config", str(file)]) == 0


def test_completions_of_another_tool_are_graded_once_and_for_a_report_anew_those_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = Mock(side_effect=grade)
    monkeypatch.setattr(foreign, "grade", graded)
    lines = [
        {"question": f"{number}?", "answer": str(number), "completion": ["The answer is: 1", "The answer is: 2"]}
        for number in range(5)
    ]
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = {
        "models": {"theirs": str(tmp_path / "theirs.jsonl")},
        "output": str(tmp_path / "evaluation"),
        "num_resamples": 100,
        "num_orderings": 1,
        "num_shown_problems": 2,
    }
    (tmp_path / "evaluation.yaml").write_text(json.dumps(asked))
    page = tmp_path / "evaluation" / "index.html"
    for command, num_graded in (("evaluate", 10), ("report", 4)):
        graded.reset_mock()
        assert main([command, "--config", str(tmp_path / "evaluation.yaml")]) == 0
        assert graded.call_count == num_graded
        assert ("0?" in page.read_text(), "4?" in page.read_text()) == (True, False)
        page.unlink()


def test_the_job_prints_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(json.dumps(config(tmp_path).model_dump(mode="json")))
    assert main(["evaluate", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["jobs/evaluate.py", "--config", str(file)])
    evaluate_job.main()
    assert capsys.readouterr().out == said


def test_a_submitted_job_does_not_write_where_ray_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(json.dumps({"models": {"teacher": {"path": str(tmp_path / "none.parquet")}}}))
    monkeypatch.setenv(JOB_MARK, "1")
    monkeypatch.setattr("sys.argv", ["jobs/evaluate.py", "--config", str(file), "--output", "runs/evaluation"])
    with pytest.raises(ConfigError, match="give an absolute path"):
        evaluate_job.main()


def test_a_missing_table_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(json.dumps({"models": {"teacher": {"path": str(tmp_path / "none.parquet")}}}))
    assert main(["evaluate", "--config", str(file)]) == 2
    assert "no such file" in capsys.readouterr().err
