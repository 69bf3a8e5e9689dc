import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamath_ray.cli import main
from metamath_ray.config import EvaluateConfig
from metamath_ray.errors import RunDirectoryError
from metamath_ray.measuring import RESULTS_FILE, evaluate_tables, read_results, report
from tests.unit.evaluation.tables import batches, synthetic_problems


def config(folder: Path) -> EvaluateConfig:
    table = pa.Table.from_batches(batches(synthetic_problems(6, 4, seed=1)))
    pq.write_table(table, folder / "samples.parquet")
    models = {"teacher": {"path": str(folder / "samples.parquet")}}
    settings = {"models": models, "output": str(folder / "evaluation"), "num_resamples": 100, "num_orderings": 4}
    return EvaluateConfig.model_validate(settings)


def test_an_evaluation_can_be_reported_anew(tmp_path: Path) -> None:
    results = evaluate_tables(config(tmp_path))
    page = Path(report(config(tmp_path), results))
    first = page.read_text()
    assert "teacher" in first
    assert read_results(config(tmp_path)).evaluations[0].name == "teacher"
    page.unlink()
    assert Path(report(config(tmp_path), read_results(config(tmp_path)))).is_file()
    assert {"versions", "hardware", "time", "seed"} <= results.environment.keys()


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


def test_a_missing_table_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "evaluation.yaml"
    file.write_text(json.dumps({"models": {"teacher": {"path": str(tmp_path / "none.parquet")}}}))
    assert main(["evaluate", "--config", str(file)]) == 2
    assert "no such file" in capsys.readouterr().err
