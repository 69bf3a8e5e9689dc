"""Run directories in a bucket, against a real S3 server on this machine: moto's."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs
from transformers import AutoModelForCausalLM

from metamath_ray.cli import main
from metamath_ray.config import ExecutionConfig, ExportConfig, FinetuneConfig, SamplesConfig, SolutionsConfig
from metamath_ray.distributed.items import ItemsJob, ItemWorker
from metamath_ray.distributed.stage_metrics import StageMetrics
from metamath_ray.errors import DataError, RunDirectoryError
from metamath_ray.export.run_export import export_run, first_rows
from metamath_ray.export.writer import FILES
from metamath_ray.inference.models import read_metadata
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row, summarize, unfinished_positions
from metamath_ray.storage.filesystems import below, open_location
from metamath_ray.storage.locations import content_hash, local_copy
from metamath_ray.storage.run_directory import ROWS_PER_GROUP
from metamath_ray.storage.samples import SAMPLE_SCHEMA, read_sample_table, read_samples
from metamath_ray.terminal_quiet import quiet
from metamath_ray.training.report import METRICS_FILE
from metamath_ray.training.stage_data import SampleSet, SolutionSet
from metamath_ray.training.steps import StepResult
from metamath_ray.types import OutcomeStatus
from tests.integration.conftest import Cluster, bootstrap_config
from tests.records import make_item, make_outcome

NUM_ITEMS = 12
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of the server."""
    serving = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    serving.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = serving.get_host_and_port()
    yield f"http://{host}:{port}"
    serving.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, which this process reaches as a user's would: by its environment."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    name = f"runs-{uuid.uuid4().hex[:8]}"
    fs.S3FileSystem(endpoint_override=server, region="us-east-1", allow_bucket_creation=True).create_dir(name)
    return f"s3://{name}"


@pytest.fixture
def run(bucket: str) -> RunDirectory:
    return RunDirectory(f"{bucket}/runs/first")


def fill(run: RunDirectory) -> None:
    """Make a run of which half is done, right and wrong by turns."""
    export = ExportConfig().model_dump(mode="json")
    run.write_manifest(
        Manifest(content={"seed": 0}, configuration={"export": export}, versions={}, hardware={}, created="2026-01-01")
    )
    run.write_plan(item_to_row(make_item(number), number) for number in range(NUM_ITEMS))
    statuses = (OutcomeStatus.ACCEPTED, OutcomeStatus.REJECTED)
    for shard in (0, 3):
        rows = [outcome_row(number, statuses[number % 2]) for number in range(shard, shard + 3)]
        run.write_outcomes(rows, f"shard-{shard}")


def outcome_row(number: int, status: OutcomeStatus = OutcomeStatus.ACCEPTED) -> dict[str, Any]:
    return outcome_to_row(make_outcome(number, status=status), position=number, prompt_set_hash="h", seconds=0.1)


def keys(url: str) -> list[str]:
    """Return the names of all objects below a URL."""
    filesystem, path = open_location(url)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    return sorted(info.path.removeprefix(f"{path}/") for info in found if info.is_file)


def test_a_run_is_written_listed_and_read(run: RunDirectory) -> None:
    with run.lock():
        fill(run)
    shards = ["outcomes/shard-0.parquet", "outcomes/shard-3.parquet"]
    assert keys(run.root) == ["manifest.json", *shards, "plan.parquet"]
    assert run.read_manifest().content == {"seed": 0}
    assert unfinished_positions(run).tolist() == list(range(6, NUM_ITEMS))
    assert summarize(run).num_finished == len(run.finished_ids()) == 6
    assert [len(batch) for batch in read_samples(run)] == [6]
    assert run.last_stored() is not None


def test_some_rows_of_a_long_plan_are_read(run: RunDirectory) -> None:
    run.write_plan(item_to_row(make_item(number), number) for number in range(ROWS_PER_GROUP + 3))
    positions = [1, ROWS_PER_GROUP - 1, ROWS_PER_GROUP + 2]
    assert run.read_plan_rows(positions).column("position").to_pylist() == positions


def test_an_address_may_name_the_server(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    run = RunDirectory(f"{bucket}/run?endpoint_override={server.removeprefix('http://')}&scheme=http")
    fill(run)
    greedy = RunDirectory(run.path("greedy"))
    greedy.write_bytes(b"{}", "manifest.json")
    assert "greedy/manifest.json" in keys(run.root)


KILLED_WRITER = """
import os, signal, sys
import pyarrow as pa
from metamath_ray.storage import RunDirectory

def batches():
    for number in range(8):
        yield pa.RecordBatch.from_pydict({"noise": [os.urandom(2**20)] * 2})
    os.kill(os.getpid(), signal.SIGKILL)

schema = pa.schema([("noise", pa.binary())])
RunDirectory(sys.argv[1]).write_batches(batches(), schema, "outcomes", "a.parquet")
"""


def test_a_killed_write_leaves_what_was_there(run: RunDirectory) -> None:
    run.write_bytes(b"earlier", "outcomes", "a.parquet")
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, run.root], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run.outcome_shards() == ["a"]
    assert run.read_text("outcomes", "a.parquet") == "earlier"


def test_a_write_that_fails_leaves_no_object(run: RunDirectory) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"noise": [os.urandom(2**20)] * 8})
        raise DataError("line 9 is malformed")

    with pytest.raises(DataError):
        run.write_batches(batches(), pa.schema([("noise", pa.binary())]), "outcomes", "a.parquet")
    assert keys(run.root) == []


class Runner:
    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        return outcome_row(row["position"])


async def test_workers_of_an_earlier_driver_stop_when_another_takes_over(run: RunDirectory) -> None:
    fill(run)
    drivers = [
        ItemWorker(ItemsJob(run=run, mark=run.claim(), make_runner=Runner, execution=ExecutionConfig()))
        for _ in range(2)
    ]
    block = run.read_plan_rows(unfinished_positions(run).tolist())
    first = (await drivers[0](block)).to_pylist()[0]
    assert "another start took this run over" in first["fatal"]
    assert len(run.finished_ids()) == 6
    second = (await drivers[1](block)).to_pylist()[0]
    assert (second["fatal"], second["num_items"]) == ("", 6)
    assert len(run.finished_ids()) == NUM_ITEMS


def test_an_export_is_the_same_as_on_a_disk(run: RunDirectory, tmp_path: Path) -> None:
    local = RunDirectory(str(tmp_path))
    for one in (run, local):
        fill(one)
        one.write_bytes(b"mine", "dataset", "notes.txt")
        summary = export_run(one, ExportConfig())
        assert (summary.num_exported, summary.num_rejected) == (1, 5)
        assert one.read_manifest().stages["export"]["num_rows"] == 1
    assert keys(run.path("dataset")) == sorted([*FILES, "notes.txt"])
    for name in FILES:
        if name != "metamathqa.parquet":
            assert run.read_text("dataset", name) == local.read_text("dataset", name)
    assert run.read_table("dataset", "metamathqa.parquet").equals(local.read_table("dataset", "metamathqa.parquet"))
    assert first_rows(run, 3) == first_rows(local, 3)


def test_commands_take_a_bucket(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    fill(run)
    assert main(["export", "--run-directory", run.root]) == 0
    assert "1 rows of 1 problems" in capsys.readouterr().out
    assert main(["status", "--run-directory", run.root]) == 0
    assert "unfinished, last stored 20" in capsys.readouterr().out


def test_the_status_of_a_fine_tuning_says_where_it_is_and_when_it_last_told(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write_manifest(Manifest(content={}, configuration={"stages": {"first": {}, "second": {}}}))
    figures = {"step": 3, "num_steps": 9, "loss": 0.5, "tokens_per_second": 100.0}
    run.write_bytes(f"{json.dumps(figures)}\n".encode(), "first", METRICS_FILE)
    assert main(["status", "--run-directory", run.root]) == 0
    said = capsys.readouterr().out
    assert "training" in said
    assert "3/9" in said
    assert "unfinished, last stored 20" in said


def test_a_folder_is_listed_and_removed(run: RunDirectory) -> None:
    table = pa.table({"a": [1]})
    for parts in (("units", "b.parquet"), ("units", "a.parquet"), ("scores", "v", "plan.parquet")):
        run.write_table(table, *parts)
    run.write_bytes(b"x", "units", ".c.parquet.0123abcd.tmp")
    assert (run.tables("units"), run.tables("nothing")) == (["a.parquet", "b.parquet"], [])
    assert (run.folders("scores"), run.folders("nothing")) == (["v"], [])
    for name in ("units", "scores/v/plan.parquet", "nothing"):
        run.remove(name)
    assert keys(run.root) == []


def test_what_libraries_print_is_kept_in_the_run(run: RunDirectory) -> None:
    fill(run)
    for said in ("first", "second"):
        with quiet(run.root):
            os.write(1, f"{said}\n".encode())
    assert run.read_text("logs", "driver.log") == "first\nsecond\n"


def test_a_table_of_samples_is_read_from_a_bucket(run: RunDirectory) -> None:
    fill(run)
    rows = [row for batch in read_samples(run) for row in batch.to_pylist()]
    run.write_batches(read_samples(run), SAMPLE_SCHEMA, "tables", "samples.parquet")
    run.write_bytes(b"half a table", "tables", ".samples.parquet.0123abcd.tmp")
    for parts in (["tables"], ["tables", "samples.parquet"]):
        assert [row for batch in read_sample_table(run.path(*parts)) for row in batch.to_pylist()] == rows
    with pytest.raises(DataError, match="no such file or folder"):
        read_sample_table(run.path("tables", "nothing.parquet"))


def test_a_folder_is_copied_whole(run: RunDirectory) -> None:
    for parts in (("a",), ("deeper", "and", "deeper", "b")):
        run.write_bytes(parts[-1].encode(), "folder", *parts)
    with local_copy(run.path("folder")) as copy:
        assert {path.name: path.read_text() for path in copy.rglob("*") if path.is_file()} == {"a": "a", "b": "b"}
    with pytest.raises(RunDirectoryError, match="nothing: cannot read"), local_copy(run.path("nothing")):
        pass


def test_fine_tuning_learns_from_a_run_in_a_bucket(run: RunDirectory, tmp_path: Path) -> None:
    local = RunDirectory(str(tmp_path))
    solutions, examples, hashes = [], [], []
    for one in (run, local):
        fill(one)
        with pytest.raises(DataError, match="this run has no data set yet"):
            next(SolutionSet(SolutionsConfig(rows=one.root), seed=0).examples())
        export_run(one, ExportConfig())
        solutions.append(list(SolutionSet(SolutionsConfig(rows=one.root), seed=0).examples()))
        config = SamplesConfig(path=(one.root,), validation_share=0.01)
        examples.append(list(SampleSet((one.root,), config, seed=0, with_pairs=True).examples(with_singles=True)))
        hashes.append([content_hash(one.path(part)) for part in ("outcomes", "plan.parquet")])
    assert solutions[0] == solutions[1] != []
    assert examples[0] == examples[1] != []
    assert hashes[0] == hashes[1]


def figures_of(run: RunDirectory, scratch: Path, *, start: int, end: int) -> None:
    result = StepResult(loss=0.5, solution=0.5, pairwise=0.0, pointwise=0.0, grad_norm=1.0, num_tokens=100)
    with StageMetrics(run, scratch=scratch, start=start, num_steps=9, trackers=()) as metrics:
        for step in range(start + 1, end + 1):
            metrics.write(step, result, rate=1e-3, seconds=0.5)
        metrics.keep()
        metrics.write(end + 1, result, rate=1e-3, seconds=0.5)


def test_figures_of_a_stage_reach_the_bucket_and_a_resumed_stage_takes_them_up(
    run: RunDirectory, tmp_path: Path
) -> None:
    figures_of(run, tmp_path / "first", start=0, end=3)
    assert steps_told(run) == [1, 2, 3, 4]
    boards = [name for name in keys(run.root) if name.startswith("tensorboard/")]
    assert len(boards) == 1
    figures_of(run, tmp_path / "second", start=2, end=5)
    assert steps_told(run) == [1, 2, 3, 4, 5, 6]
    assert len(keys(run.path("tensorboard"))) == 2


def refusal(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail at once: one line, which has no key in it."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in said
    return said


def test_a_bucket_that_is_not_there_is_named(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["plan", "--source.format", "word_problems", "--sample-items", "0"]):
        said = refusal([*command, "--run-directory", f"{bucket}-of-another/run"], capsys)
        assert f"{bucket}-of-another/run" in said
        assert "there is no such bucket; create it" in said
    assert "no such file; is this a run directory?" in refusal(["status", "--run-directory", f"{bucket}/typo"], capsys)


@contextmanager
def keys_are_checked(server: str) -> Iterator[None]:
    """Have the server look at keys; it knows none."""
    plain = {"Content-Type": "text/plain"}
    httpx.post(f"{server}/moto-api/reset-auth", content="0", headers=plain).raise_for_status()
    try:
        yield
    finally:
        httpx.post(f"{server}/moto-api/reset-auth", content="inf", headers=plain).raise_for_status()


def test_a_wrong_key_is_one_line(server: str, run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    fill(run)
    with keys_are_checked(server):
        assert "access denied; check the credentials" in refusal(["status", "--run-directory", run.root], capsys)
        with pytest.raises(RunDirectoryError, match="access denied"):
            run.outcome_shards()
        with pytest.raises(RunDirectoryError, match="access denied"):
            run.write_bytes(b"x", "x")
    assert run.outcome_shards() == ["shard-0", "shard-3"]


def test_a_server_that_is_not_there_is_one_line(
    bucket: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "cannot be reached; check the network" in refusal(["status", "--run-directory", f"{bucket}/run"], capsys)


FINETUNER = """
import os, sys
import ray
from metamath_ray.config import FinetuneConfig
from metamath_ray.distributed.finetune import finetune

access = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
ray.init(address=os.environ["RAY_ADDRESS"], runtime_env={"env_vars": access}, log_to_driver=False)
for stage in finetune(FinetuneConfig.model_validate_json(sys.argv[1])).stages:
    print(stage.model)
"""
NUM_STEPS = 16


def finetune_config(run_directory: str) -> FinetuneConfig:
    """Two stages of the embedded base, the second from the model of the first, each measured."""
    problems = {"format": "word_problems", "split": "train", "limit": 60, "seed": 5}
    stage = {"solutions": {"problems": problems}, "global_batch_size": 8}
    held_out = {"problems": {"format": "word_problems", "split": "validation", "limit": 2}, "max_tokens": 32}
    settings = {
        "run_directory": run_directory,
        "stages": {"first": {**stage, "max_steps": NUM_STEPS}, "second": {**stage, "max_steps": 2}},
        "trainers": {"num_workers": 2, "checkpoint_every_steps": 2},
        "held_out": {**held_out, "before_training": False},
    }
    return FinetuneConfig.model_validate(settings)


def steps_told(run: RunDirectory, *stage: str) -> list[int]:
    text = run.read_text(*stage, METRICS_FILE) if run.exists(*stage, METRICS_FILE) else ""
    return [json.loads(line)["step"] for line in text.splitlines()]


@pytest.mark.slow
def test_a_fine_tuning_in_a_bucket_is_killed_resumed_and_leaves_its_models_there(cluster: Cluster, bucket: str) -> None:
    run = RunDirectory(below(bucket, "runs", "tuned"))
    command = [sys.executable, "-c", FINETUNER, finetune_config(run.root).model_dump_json()]
    driver = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while len(steps_told(run, "first")) < 4:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        driver.kill()
        driver.wait()
    assert 4 <= len(steps_told(run, "first")) < NUM_STEPS
    assert [name for name in keys(run.path("first")) if name.startswith("checkpoints/step_")]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [run.path(stage, "model") for stage in ("first", "second")]
    assert steps_told(run, "first") == list(range(1, NUM_STEPS + 1))
    for stage, parent in (("first", "embedded:base"), ("second", "first")):
        kept = keys(run.path(stage))
        assert not [name for name in kept if "checkpoints" in name or name.endswith(".tmp")]
        assert {"results.json", "data.json", "loss.png", "held_out.parquet", METRICS_FILE} <= set(kept)
        assert [name for name in kept if name.startswith("tensorboard/")]
        with local_copy(run.path(stage, "model")) as folder:
            assert read_metadata(str(folder))["parent"] == parent
            model = AutoModelForCausalLM.from_pretrained(folder)
            assert model.num_parameters() > 10**6
    assert run.read_manifest().stages.keys() == {"first", "second"}


DRIVER = """
import json, os, sys
import ray
from metamath_ray.config import BootstrapConfig
from metamath_ray.distributed.bootstrap import bootstrap

access = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
ray.init(address=os.environ["RAY_ADDRESS"], runtime_env={"env_vars": access}, log_to_driver=False)
counts = bootstrap(BootstrapConfig.model_validate_json(sys.argv[1]))
print(json.dumps(counts.num_items))
"""


def test_a_bootstrap_over_ray_stores_every_planned_item_in_a_bucket(cluster: Cluster, bucket: str) -> None:
    run = RunDirectory(below(bucket, "bootstrap"))
    source = {"format": "word_problems", "split": "train", "limit": 4}
    config = bootstrap_config(Path("unused"), source=source).model_copy(update={"run_directory": run.root})
    command = [sys.executable, "-c", DRIVER, config.model_dump_json()]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    planned = {item_id for batch in run.plan_batches(["item_id"]) for item_id in batch.column("item_id").to_pylist()}
    assert json.loads(done.stdout.splitlines()[-1]) == len(planned) > 4
    stored = [i for shard in run.outcome_shards() for i in run.read_shard(shard).column("item_id").to_pylist()]
    assert len(stored) == len(planned)
    assert set(stored) == planned
    assert run.read_manifest().stages["bootstrap"]["num_starts"] == 1
    assert not [name for name in keys(run.root) if name.endswith(".tmp")]
    assert export_run(run, ExportConfig()).num_exported > 0
