import json
from pathlib import Path

import pytest

from metamath_ray.cli import COMMANDS, _export_config, main
from metamath_ray.config import ExportConfig
from metamath_ray.storage import RunDirectory

GOOD = {"question": "Ann has 3 pears and buys 4 more. How many pears has she?", "answer": "3 + 4 = 7\n#### 7"}


def source(path: Path, *lines: str) -> list[str]:
    path.write_text("\n".join(lines))
    return ["--source.format", "gsm8k", "--source.path", str(path)]


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    return said


def test_a_malformed_line_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD), '{"question": "How many?"}')
    said = fails(["plan", *records, "--run-directory", str(tmp_path / "run"), "--sample-items", "0"], capsys)
    assert "seeds.jsonl:2" in said
    assert "answer" in said
    assert [path.name for path in tmp_path.iterdir()] == ["seeds.jsonl"]


def test_malformed_lines_are_skipped_and_listed_on_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD), "{")
    run = str(tmp_path / "run")
    assert main(["plan", *records, "--source.skip-invalid", "--run-directory", run, "--sample-items", "0"]) == 0
    assert "seeds.jsonl:2" in capfd.readouterr().out
    assert (tmp_path / "run" / "plan.parquet").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine.model", "./no/such/model"], "no model folder './no/such/model'"),
        (["--engine.model", "embedded:giant"], "embedded:teacher"),
        (["--prompt-set", "unheard-of"], "unheard-of"),
        (["--source.path", "/no/such/file.jsonl"], "/no/such/file.jsonl"),
        (["--engine.kind", "openai", "--engine.base-url", "http://127.0.0.1:1/v1", "--engine.model", "m",
          "--engine.api-key-env", "UNSET_KEY"], "UNSET_KEY is not set"),
        (["--nonsense", "1"], "--nonsense"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD))
    arguments = ["plan", *records, "--run-directory", str(tmp_path / "run"), "--sample-items", "0", *options]
    assert said in fails(arguments, capsys)
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD))
    (tmp_path / "model").mkdir()
    model = ["--engine.model", str(tmp_path / "model")]
    assert "no config.json" in fails(["plan", *records, *model, "--run-directory", str(tmp_path / "run")], capsys)


def test_another_configuration_over_a_run_is_refused_and_forked_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD))
    plan = ["plan", *records, "--run-directory", str(tmp_path / "run"), "--sample-items", "0"]
    assert main(plan) == 0
    capsys.readouterr()
    said = fails([*plan, "--seed", "5"], capsys)
    assert "seed: 0 → 5" in said
    assert "--fork" in said
    assert main([*plan, "--seed", "5", "--fork"]) == 0


def test_an_export_uses_what_the_run_says_under_what_the_line_says(tmp_path: Path) -> None:
    records = source(tmp_path / "seeds.jsonl", json.dumps(GOOD))
    run = ["--run-directory", str(tmp_path / "run")]
    test_set = json.dumps([{"format": "gsm8k", "path": str(tmp_path / "seeds.jsonl")}])
    plan = ["plan", *records, *run, "--sample-items", "0", "--export.decontaminate-against", test_set]
    assert main(plan) == 0
    stored = RunDirectory(str(tmp_path / "run"))
    config = _export_config(stored, ExportConfig(backward_check=True))
    assert config.backward_check
    assert config.decontaminate_against[0].format == "gsm8k"
    assert main(["export", *run, "--export.backward-check"]) == 0


def test_appended_seeds_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["plan", *source(tmp_path / "seeds.jsonl", json.dumps(GOOD)), "--run-directory", str(tmp_path / "run")]
    assert main([*plan, "--sample-items", "0"]) == 0
    source(tmp_path / "seeds.jsonl", json.dumps(GOOD), json.dumps({**GOOD, "question": "How many are 3 and 4?"}))
    capsys.readouterr()
    assert "source_hash" in fails([*plan, "--sample-items", "0"], capsys)


@pytest.mark.parametrize("command", ["status", "export"])
def test_a_folder_that_is_no_run_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is this a run directory?" in fails([command, "--run-directory", str(tmp_path)], capsys)


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(["bootstarp"], capsys)
    assert all(command in said for command in COMMANDS)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(command in said for command in COMMANDS)


def test_a_commands_help_explains_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["bootstrap", "--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "an interrupted run resumes there" in said
    assert "--sampling.solve.temperature" in said
