"""Sampling for real: vLLM draws, the grader grades, a verifier on vLLM scores; runs resume, and grow."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from metamath_ray.config import SampleConfig
from metamath_ray.distributed.sample import sample
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError, RunDirectoryError
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.samples import SAMPLES_FILE
from tests.integration.conftest import APPLICATION, Cluster, outcomes, planned_ids

WAIT_SECONDS = 120
NUM_PROBLEMS, NUM_SAMPLES = 8, 3


def sample_config(run_directory: Path, *, num_problems: int = NUM_PROBLEMS, **changes: object) -> SampleConfig:
    settings: dict[str, object] = {
        "run_directory": str(run_directory),
        "problems": {"format": "word_problems", "split": "test", "limit": num_problems, "seed": 7},
        "num_samples": NUM_SAMPLES,
        "sampling": {"temperature": 0.8, "max_tokens": 256},
        "engine": {"kind": "serve", "model": "embedded:teacher", "attach": APPLICATION},
        "execution": {"rows_in_flight": 8, "batch_size": 8, "flush_seconds": 1, "retry_budget_seconds": 400},
    }
    return SampleConfig.model_validate({**settings, **changes})


def table(run_directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = RunDirectory(str(run_directory)).read_table(SAMPLES_FILE).to_pylist()
    return rows


@pytest.fixture(scope="module")
def drawn(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with scores."""
    run_directory = tmp_path_factory.mktemp("samples") / "run"
    sample(sample_config(run_directory, verifier={"model": "embedded:verifier", "max_num_seqs": 32}))
    return run_directory


def test_each_problem_has_its_samples_and_each_answer_its_score(drawn: Path) -> None:
    rows = table(drawn)
    places = {(row["problem_id"], row["sample_index"]) for row in rows}
    assert len(rows) == len(places) == NUM_PROBLEMS * NUM_SAMPLES
    assert len({row["seed"] for row in rows}) == len(rows)
    assert {row["verdict"] for row in rows} <= {"correct", "incorrect", "unscored"}
    for row in rows:
        assert (row["score"] is None) == (row["extracted_answer"] is None)
    scores = [row["score"] for row in rows if row["score"] is not None]
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) > NUM_PROBLEMS
    greedy = RunDirectory(str(drawn)).read_table("greedy.parquet").to_pylist()
    assert len(greedy) == NUM_PROBLEMS


def test_more_samples_and_more_problems_cost_what_is_new(drawn: Path) -> None:
    before = {(row["problem_id"], row["sample_index"]): row for row in table(drawn)}
    done = outcomes(drawn)
    shards = RunDirectory(str(drawn)).outcome_shards()
    report = sample(sample_config(drawn, num_problems=NUM_PROBLEMS + 2, num_samples=NUM_SAMPLES + 2))
    after = {(row["problem_id"], row["sample_index"]): row for row in table(drawn)}
    assert report.num_samples == len(after) == (NUM_PROBLEMS + 2) * (NUM_SAMPLES + 2)
    unscored = {place: {**row, "score": None} for place, row in before.items()}
    assert unscored.items() <= {place: after[place] for place in before}.items()
    assert set(shards) < set(RunDirectory(str(drawn)).outcome_shards())
    assert done.items() <= outcomes(drawn).items()


def test_another_temperature_wants_another_folder(drawn: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"sampling\.solve\.temperature: 0\.8 → 0\.9"):
        sample(sample_config(drawn, sampling={"temperature": 0.9, "max_tokens": 256}))


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(cluster: Cluster, tmp_path: Path) -> None:
    run, config = RunDirectory(str(tmp_path / "run")), tmp_path / "config.yaml"
    config.write_text(sample_config(tmp_path / "run", num_samples=12, greedy=False).model_dump_json())
    command = [sys.executable, "-m", "metamath_ray.cli", "sample", "--config", str(config)]
    driver = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not run.outcome_shards():
            assert time.monotonic() < deadline, "the run stored nothing"
            time.sleep(0.02)
    finally:
        driver.kill()
        driver.wait()
    stored = run.finished_ids()
    assert len(stored) < 12 * NUM_PROBLEMS, "the run was over before the kill"
    finished = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=True)
    assert f"{12 * NUM_PROBLEMS} samples of {NUM_PROBLEMS} problems" in finished.stdout
    found = outcomes(tmp_path / "run")
    assert stored <= found.keys() == planned_ids(tmp_path / "run")


@pytest.mark.slow
def test_a_verifier_that_is_served_otherwise_than_trained_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    spoiled = tmp_path / "verifier"
    spoiled.mkdir()
    for file in checkpoint_path("verifier").iterdir():
        (spoiled / file.name).write_bytes(file.read_bytes())
    metadata = json.loads((spoiled / "metamath_ray.json").read_text())
    metadata["golden_scores"][0]["score"] = 1 - round(metadata["golden_scores"][0]["score"])
    (spoiled / "metamath_ray.json").write_text(json.dumps(metadata))
    verifier = {"model": str(spoiled), "max_num_seqs": 32}
    with pytest.raises(ModelError, match="away from those of its training"):
        sample(sample_config(tmp_path / "run", num_problems=2, greedy=False, verifier=verifier))
