import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from metamath_ray.config import FinetuneConfig
from metamath_ray.distributed.finetune_checks import check, open_run, required, tracker_environment
from metamath_ray.distributed.observer import Silent
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ConfigError, DataError, ModelError, PromptError, RunDirectoryError, UserError
from metamath_ray.prompts import load_prompt_set
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.locations import content_hash

PROBLEMS: dict[str, Any] = {"problems": {"format": "word_problems", "split": "train", "limit": 3}}


def config_of(folder: Path, **changes: Any) -> FinetuneConfig:  # noqa: ANN401
    settings: dict[str, Any] = {"run_directory": str(folder / "run"), "stages": {"generator": {"solutions": PROBLEMS}}}
    return FinetuneConfig.model_validate({**settings, **changes})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded base, to be spoilt."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint_path("base"), folder)
    (folder / "metamath_ray.json").unlink()
    return folder


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **values}), encoding="utf-8")


def test_what_fits_is_found(tmp_path: Path) -> None:
    held_out = {"problems": {"format": "word_problems", "split": "validation", "limit": 4}}
    stages = {"verifier": {"samples": {"draw": PROBLEMS}}}
    checked = check(config_of(tmp_path, held_out=held_out, stages=stages))
    assert len(checked.held_out) == 4
    assert checked.label_tokens is not None
    assert checked.label_tokens.correct != checked.label_tokens.incorrect


def test_an_engine_that_samples_are_drawn_with_is_checked_unless_it_runs_already(tmp_path: Path) -> None:
    def stages(**engine: object) -> dict[str, Any]:
        return {"verifier": {"samples": {"draw": {**PROBLEMS, "engine": engine}}}}

    with pytest.raises(ConfigError, match=r"stages\.verifier\.samples\.draw\.engine\.tensor_parallel_size is 2"):
        check(config_of(tmp_path, stages=stages(tensor_parallel_size=2)))
    check(config_of(tmp_path, stages=stages(tensor_parallel_size=2, attach="llm")))


def test_a_chat_set_needs_a_chat_template(tmp_path: Path, model: Path) -> None:
    with pytest.raises(PromptError, match="cannot render a chat"):
        check(config_of(tmp_path, model=str(model), prompt_set="chat"))


def test_a_set_needs_the_task_solve(tmp_path: Path, model: Path) -> None:
    content = load_prompt_set("embedded").model_dump(mode="json", exclude={"name", "demonstrations"})
    del content["tasks"]["solve"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(PromptError, match="'mine' has no task 'solve'"):
        check(config_of(tmp_path, model=str(model), prompt_set=str(tmp_path / "mine.yaml")))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, model: Path) -> None:
    change(model / "config.json", vocab_size=100)
    with pytest.raises(ModelError, match="the model 100; they do not belong together"):
        check(config_of(tmp_path, model=str(model)))


MISSING = {"format": "jsonl", "path": "/no/such/rows.jsonl"}


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": {"generator": {"solutions": {"rows": "/no/such/rows.jsonl"}}}},
        {"stages": {"generator": {"solutions": {"problems": MISSING}}}},
        {"stages": {"verifier": {"samples": {"path": "/no/such/samples"}}}},
        {"stages": {"verifier": {"samples": {"path": [str(checkpoint_path("base")), "/no/such/samples"]}}}},
        {"stages": {"verifier": {"samples": {"draw": {"problems": MISSING}}}}},
        {"held_out": {"problems": MISSING}},
        {"held_out": {"problems": {"format": "word_problems", "limit": 3}}},
        {"model": "/no/such/model"},
        {"prompt_set": "no_such_set"},
        {"trackers": ["mlflow"]},
    ],
)
def test_what_is_missing_is_one_line_and_leaves_nothing(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError) as caught:
        check(config_of(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def rows_of_a_run(folder: Path) -> Path:
    """A bootstrap's run directory, in which the fine-tuning's own folder may lie."""
    (folder / "dataset").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    (folder / "dataset" / "metamathqa.parquet").write_bytes(b"rows")
    return folder


def test_a_run_inside_the_folder_of_its_data_can_be_resumed(tmp_path: Path) -> None:
    rows = rows_of_a_run(tmp_path / "demo")
    stages = {"generator": {"solutions": {"rows": str(rows)}}}
    config = config_of(tmp_path, stages=stages, run_directory=str(rows / "finetune"))
    run = RunDirectory(config.run_directory)
    open_run(run, check(config))
    (rows / "finetune" / "generator").mkdir()
    (rows / "finetune" / "generator" / "data.json").write_text("{}", encoding="utf-8")
    open_run(run, check(config))
    (rows / "dataset" / "metamathqa.parquet").write_bytes(b"other rows")
    with pytest.raises(RunDirectoryError, match=r"data_hashes\.generator"):
        open_run(run, check(config))


PROBLEM = '{"problem": "What is 1 + 1?", "solution": "$\\\\boxed{2}$"}\n'


@pytest.mark.parametrize(("learned", "measured"), [("learned", "held out"), ("held out", "learned")])
def test_a_run_does_not_go_on_with_other_problems(tmp_path: Path, learned: str, measured: str) -> None:
    files = {name: tmp_path / f"{name}.jsonl" for name in (learned, measured)}
    for file in files.values():
        file.write_text(PROBLEM, encoding="utf-8")
    sources = {name: {"format": "math", "path": str(file)} for name, file in files.items()}
    stages = {"generator": {"solutions": {"problems": sources["learned"]}}}
    config = config_of(tmp_path, stages=stages, held_out={"problems": {**sources["held out"], "split": "test"}})
    run = RunDirectory(config.run_directory)
    open_run(run, check(config))
    open_run(run, check(config))
    files[learned].write_text(2 * PROBLEM, encoding="utf-8")
    with pytest.raises(RunDirectoryError, match=r"data_hashes\.generator|held_out_hash"):
        open_run(run, check(config))


def test_how_samples_are_drawn_and_problems_measured_may_change_and_the_order_of_stages_may_not(tmp_path: Path) -> None:
    def config(num_replicas: int, *names: str) -> FinetuneConfig:
        draw = {**PROBLEMS, "engine": {"num_replicas": num_replicas}, "execution": {"rows_in_flight": num_replicas}}
        stages = {"generator": {"solutions": PROBLEMS}, "verifier": {"samples": {"draw": draw}}}
        problems = {"format": "word_problems", "split": "validation", "limit": 4}
        held_out = {"problems": problems, "batch_size": num_replicas, "before_training": num_replicas == 1}
        return config_of(tmp_path, stages={name: stages[name] for name in names}, held_out=held_out)

    first = config(1, "generator", "verifier")
    run = RunDirectory(first.run_directory)
    open_run(run, check(first))
    open_run(run, check(config(2, "generator", "verifier")))
    with pytest.raises(RunDirectoryError, match="order"):
        open_run(run, check(config(1, "verifier", "generator")))


def test_skipped_records_of_the_held_out_problems_are_told(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(PROBLEM + '{"problem": "Q"}\n', encoding="utf-8")
    source = {"format": "math", "path": str(path), "split": "test", "skip_invalid": True}
    told: list[str] = []

    class Told(Silent):
        def notice(self, line: str) -> None:
            told.append(line)

    check(config_of(tmp_path, held_out={"problems": source}), observer=Told())
    assert [line for line in told if line.startswith("held_out: 1 malformed") and "test.jsonl:2" in line] == told


def test_a_run_without_a_data_set_says_so_before_anything_starts(tmp_path: Path) -> None:
    rows = rows_of_a_run(tmp_path / "demo")
    (rows / "dataset" / "metamathqa.parquet").unlink()
    config = config_of(tmp_path, stages={"generator": {"solutions": {"rows": str(rows)}}})
    with pytest.raises(DataError, match="metamath-ray export"):
        open_run(RunDirectory(config.run_directory), check(config))


def hashes_of(folder: Path, *tables: Path) -> object:
    stages = {"verifier": {"samples": {"path": [str(table) for table in tables]}}}
    config = config_of(
        folder, stages=stages, run_directory=str(folder / "-".join(["run", *(table.name for table in tables)]))
    )
    return open_run(RunDirectory(config.run_directory), check(config)).content["data_hashes"]["verifier"][1]


def test_each_table_of_samples_decides_as_it_does_alone(tmp_path: Path) -> None:
    (tmp_path / "table.parquet").write_bytes(b"samples")
    run = rows_of_a_run(tmp_path / "bootstrap")
    (run / "plan.parquet").write_bytes(b"plan")
    tables = [tmp_path / "table.parquet", run]
    alone = [hashes_of(tmp_path, table) for table in tables]
    assert alone[0] == [content_hash(str(tmp_path / "table.parquet"))]
    assert alone[1] == [content_hash(str(run / "plan.parquet")), None]
    assert hashes_of(tmp_path, *tables) == [*alone[0], *alone[1]]
    (run / "plan.parquet").write_bytes(b"another plan")
    with pytest.raises(RunDirectoryError, match=r"data_hashes\.verifier"):
        hashes_of(tmp_path, *tables)


def test_an_interrupted_stage_is_not_resumed_by_another_zero_stage(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    run = RunDirectory(config.run_directory)
    open_run(run, check(config))
    (tmp_path / "run" / "generator" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "generator" / "layout.json").write_text('{"trainers.zero_stage": 3}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"zero_stage 3; finish with that, or delete .*generator/checkpoints"):
        open_run(run, check(config))


def test_samples_are_not_drawn_from_a_model_in_a_bucket(tmp_path: Path) -> None:
    stages = {name: {"samples": {"draw": PROBLEMS}} for name in ("first", "second")}
    with pytest.raises(ConfigError, match=r"s3://bucket/run: stages.second.samples.draw .*; give a path on a disk"):
        check(config_of(tmp_path, run_directory="s3://bucket/run", stages=stages))
    check(config_of(tmp_path, run_directory="s3://bucket/run", stages={"first": stages["first"]}))


def test_what_is_needed_at_once_is_the_most_of_what_comes_one_after_the_other(tmp_path: Path) -> None:
    trainers = {"num_workers": 4, "cpus_per_worker": 2, "accelerator_type": "H100"}
    engine = {"accelerator_type": "H100", "num_replicas": 3, "tensor_parallel_size": 2}
    stages = {"verifier": {"samples": {"draw": {**PROBLEMS, "engine": engine}}}}
    assert required(config_of(tmp_path, trainers=trainers, stages=stages)) == (9, 6)
    assert required(config_of(tmp_path, trainers={"num_workers": 2})) == (3, 0)


def test_the_variables_of_the_trackers_asked_for_travel_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "MLFLOW_TRACKING_URI", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "secret")
    assert tracker_environment(config_of(tmp_path, trackers=["wandb"])).keys() == {"WANDB_API_KEY"}
    assert tracker_environment(config_of(tmp_path)) == {}
