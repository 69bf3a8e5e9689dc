"""Fine-tuning for real: Ray Train and DeepSpeed on two workers, killed, resumed, resized, and served by vLLM."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from ray import serve
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from metamath_ray.config import FinetuneConfig
from metamath_ray.distributed.finetune import finetune
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import DataError, RunDirectoryError, RunFailed
from metamath_ray.prompts import Renderer, Task, load_prompt_set, load_tokenizer
from metamath_ray.training.report import METRICS_FILE
from services.llm import build_app
from tests.integration.conftest import Cluster, cluster_processes

NUM_STEPS = 16
WAIT_SECONDS = 240
NUM_DRAWN_PROBLEMS, NUM_SAMPLES = 12, 4


def finetune_config(run_directory: Path, **changes: Any) -> FinetuneConfig:  # noqa: ANN401
    """The embedded base for some steps on a few reference solutions."""
    trainers = {"num_workers": 2, "micro_batch_size": 8, "checkpoint_every_steps": 4, **changes.pop("trainers", {})}
    settings: dict[str, Any] = {
        "run_directory": str(run_directory),
        "stages": {"generator": stage(NUM_STEPS)},
        "trainers": trainers,
    }
    return FinetuneConfig.model_validate({**settings, **changes})


def stage(max_steps: int) -> dict[str, Any]:
    """A stage of solution fine-tuning."""
    return {
        "solutions": {"problems": {"format": "word_problems", "split": "train", "limit": 100, "seed": 5}},
        "max_steps": max_steps,
        "global_batch_size": 16,
        "optimizer": {"learning_rate": 3e-4},
    }


def losses(run_directory: Path) -> list[float]:
    """Return the loss of each step; fails when a step is missing or there twice."""
    lines = (run_directory / "generator" / METRICS_FILE).read_text().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["loss"] for row in rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    """A run that nothing happened to: two workers, ZeRO-2."""
    run_directory = tmp_path_factory.mktemp("finetune") / "run"
    finetune(finetune_config(run_directory))
    return run_directory


@pytest.fixture(scope="module")
def served(trained: Path, cluster: Cluster) -> Iterator[str]:
    """The trained model as it was exported, behind vLLM: the application's name, and the first part of its route."""
    arguments = {"model": str(trained / "generator" / "model"), "max_num_seqs": 32}
    serve.run(build_app(arguments), name="tuned", route_prefix="/tuned")
    yield "tuned"
    serve.delete("tuned")


def test_training_learns_and_leaves_what_explains_it(trained: Path) -> None:
    found = losses(trained)
    assert sum(found[-4:]) < 0.8 * sum(found[:4])
    folder = trained / "generator"
    metadata = json.loads((folder / "model" / "metamath_ray.json").read_text())
    assert metadata["kind"] == "generator"
    assert metadata["parent"] == "embedded:base"
    assert metadata["data"]["units"] == 100
    assert (folder / "loss.png").stat().st_size > 1000
    assert list((folder / "tensorboard").iterdir())
    assert not (folder / "checkpoints").exists()


def test_a_verifier_learns_from_its_models_samples_and_the_next_stage_starts_from_it(
    trained: Path, served: str, tmp_path: Path
) -> None:
    draw = {
        "problems": {"format": "word_problems", "split": "train", "limit": NUM_DRAWN_PROBLEMS, "seed": 6},
        "num_samples": NUM_SAMPLES,
        "sampling": {"temperature": 0.8, "max_tokens": 192},
        "engine": {"attach": served},
        "execution": {"flush_seconds": 1},
    }
    samples = {"draw": draw, "validation_share": 0.4}
    verifier = {"samples": samples, "pointwise_weight": 0.5, "max_steps": 2, "global_batch_size": 4}
    model = str(trained / "generator" / "model")
    stages = {"verifier": verifier, "generator_again": stage(2)}
    finetune(finetune_config(tmp_path / "run", model=model, stages=stages))
    folder = tmp_path / "run" / "verifier"
    last = json.loads((tmp_path / "run" / "generator_again" / "model" / "metamath_ray.json").read_text())
    assert (last["kind"], last["parent"]) == ("generator", "verifier")
    metadata = json.loads((folder / "model" / "metamath_ray.json").read_text())
    results = json.loads((folder / "results.json").read_text())
    assert (metadata["kind"], metadata["parent"]) == ("verifier", model)
    assert len(list((folder / "samples" / "outcomes").iterdir())) > 0
    assert results["data"]["units"] > 0
    measured = results["verifier"]
    assert {"auc", "within_problem_auc", "expected_calibration_error"} <= measured.keys()
    assert len(metadata["golden_scores"]) == min(16, measured["num_samples"])
    assert all(0 < golden["score"] < 1 for golden in metadata["golden_scores"])
    assert len({golden["question"] for golden in metadata["golden_scores"]}) > 1


def test_zero_3_takes_the_same_steps(trained: Path, tmp_path: Path) -> None:
    finetune(finetune_config(tmp_path / "run", stages={"generator": stage(4)}, trainers={"zero_stage": 3}))
    first = losses(trained)[:3]  # the schedule depends on the number of steps; the warm-up is one step in both
    assert losses(tmp_path / "run")[:3] == pytest.approx(first, rel=1e-3)


class WorkerKiller(threading.Thread):
    """Kills one trainer as soon as so many steps are done; knows their losses."""

    def __init__(self, run_directory: Path, after_steps: int) -> None:
        super().__init__()
        self.run_directory, self.after_steps = run_directory, after_steps
        self.losses: list[float] = []

    def run(self) -> None:
        wait_for_steps(self.run_directory / "generator" / METRICS_FILE, self.after_steps)
        self.losses = losses(self.run_directory)
        cluster_processes("ray::RayTrainWorker")[0].send_signal(signal.SIGKILL)


def wait_for_steps(metrics: Path, num_steps: int) -> int:
    """Wait until so many steps are written; return how many there are."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        done = len(metrics.read_text().splitlines()) if metrics.is_file() else 0
        if done >= num_steps:
            return done
        time.sleep(0.02)
    raise AssertionError(f"{num_steps} steps were not reached")


def test_a_killed_worker_changes_no_loss(trained: Path, tmp_path: Path) -> None:
    finetune_and_kill(finetune_config(tmp_path / "run"))
    assert losses(tmp_path / "run") == losses(trained)


def finetune_and_kill(config: FinetuneConfig) -> list[float]:
    """Run, kill a worker two steps after a checkpoint, and return the losses until then."""
    killer = WorkerKiller(Path(config.run_directory), after_steps=6)
    killer.start()
    finetune(config)
    killer.join()
    assert 6 <= len(killer.losses) < NUM_STEPS
    return killer.losses


@pytest.mark.slow
def test_a_resumed_adapter_drops_the_same(cluster: Cluster, tmp_path: Path) -> None:
    """LoRA with ZeRO-2: the steps between the checkpoint and the kill are taken twice, with the same losses."""
    config = finetune_config(tmp_path / "run", adapter={"rank": 4, "dropout": 0.3})
    before = finetune_and_kill(config)
    found = losses(tmp_path / "run")
    assert len(found) == NUM_STEPS
    assert found[: len(before)] == before


@pytest.mark.slow
def test_a_killed_driver_is_resumed_by_another_number_of_workers(
    trained: Path, cluster: Cluster, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(finetune_config(tmp_path / "run").model_dump_json())
    command = [sys.executable, "-m", "metamath_ray.cli", "finetune", "--config", str(config)]
    driver = subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL)
    try:
        done = wait_for_steps(tmp_path / "run" / "generator" / METRICS_FILE, 6)
    finally:
        driver.kill()
        driver.wait()
    assert done < NUM_STEPS
    finetune(finetune_config(tmp_path / "run", trainers={"num_workers": 1}))
    assert losses(tmp_path / "run") == pytest.approx(losses(trained), rel=1e-3)


def test_a_finished_run_is_not_done_again_and_another_is_refused(trained: Path) -> None:
    before = (trained / "generator" / "model" / "model.safetensors").stat().st_mtime_ns
    finetune(finetune_config(trained))
    assert (trained / "generator" / "model" / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunDirectoryError, match="seed: 0 → 1"):
        finetune(finetune_config(trained, seed=1))


def test_bad_data_ends_before_training(tmp_path: Path, cluster: Cluster) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"query": "q", "response": ""}) + "\n")
    broken = {"generator": {"solutions": {"rows": str(rows)}, "max_steps": 2, "global_batch_size": 2}}
    with pytest.raises(DataError, match=r"none of 1 examples can be learned \(.*empty_solution: 1"):
        finetune(finetune_config(tmp_path / "run", stages=broken))


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path: Path, cluster: Cluster) -> None:
    shutil.copytree(checkpoint_path("base"), tmp_path / "broken")
    weights = load_file(tmp_path / "broken" / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, tmp_path / "broken" / "model.safetensors", metadata={"format": "pt"})
    config = finetune_config(tmp_path / "run", model=str(tmp_path / "broken"))
    with pytest.raises(RunFailed, match=r"the loss is nan at step \d+.*learning_rate"):
        finetune(config)


def test_the_server_agrees_with_the_trainer(trained: Path, served: str, cluster: Cluster) -> None:
    """vLLM serves the exported folder as it is; log-probabilities of a completion agree (pitfall: vllm#12791)."""
    folder = trained / "generator" / "model"
    tokenizer = load_tokenizer(str(folder))
    question = {"question": "Ann has 12 apples. She buys 7 more. How many apples does Ann have now?"}
    prompt = list(
        Renderer(load_prompt_set("embedded"), tokenizer).render(Task.SOLVE, question, source="x").token_ids or ()
    )
    url = cluster.base_url.replace("/v1", f"/{served}/v1")
    asked = {
        "model": httpx.get(f"{url}/models").json()["data"][0]["id"],
        "prompt": prompt,
        "max_tokens": 40,
        "temperature": 0,
        "logprobs": 1,
        "return_token_ids": True,
    }
    [choice] = httpx.post(f"{url}/completions", json=asked, timeout=120).json()["choices"]
    ids = choice["token_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    computed = logits.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
    assert len(ids) > 5
    assert max(abs(a - b) for a, b in zip(choice["logprobs"]["token_logprobs"], computed, strict=True)) <= 0.02
