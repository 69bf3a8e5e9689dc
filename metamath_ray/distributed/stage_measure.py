"""Measuring a stage's model: in tasks on the cluster, which load it for themselves."""

from collections.abc import Callable
from typing import Any, TypeVar

import ray

from metamath_ray.config import TrainersConfig
from metamath_ray.distributed.cluster import runtime_environment
from metamath_ray.distributed.finetune_checks import Checked
from metamath_ray.distributed.stage_files import MODEL, read_json, write_json
from metamath_ray.distributed.task_errors import plain_errors
from metamath_ray.errors import ModelError
from metamath_ray.inference.models import METADATA_FILE
from metamath_ray.prompts import VerifierRenderer, load_tokenizer
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.locations import local_copy
from metamath_ray.training.quality import measure_generator, measure_verifier, score_samples, solve_held_out
from metamath_ray.training.stage_data import JudgedSample

Result = TypeVar("Result")

HELD_OUT_FILE = "held_out.parquet"
NUM_GOLDEN_SCORES = 16
"""Held-out solutions whose scores are stored with a verifier, so that a server can be compared with the trainer."""


def generator_quality(model: str, folder: RunDirectory, checked: Checked) -> dict[str, Any]:
    """Measure a generator on the held-out problems, and keep its solutions as a table of samples in the folder."""
    config = checked.config
    solutions = _on_cluster(
        solve_held_out,
        config.trainers,
        model,
        checked.held_out,
        config.held_out,
        prompt_set=checked.prompt_set,
    )
    folder.write_table(solutions, HELD_OUT_FILE)
    return measure_generator(solutions)


def verifier_quality(folder: RunDirectory, samples: list[JudgedSample], checked: Checked) -> dict[str, Any]:
    """Measure a stage's verifier on held-out samples, and store some of its scores with it.

    Raises:
        ModelError: The model's description is damaged.
    """
    renderer = VerifierRenderer(checked.verifier_prompt, load_tokenizer(checked.model_path))
    scores = _on_cluster(score_samples, checked.config.trainers, folder.path(MODEL), samples, renderer=renderer)
    _store_golden_scores(folder, samples, scores)
    return measure_verifier(samples, scores)


def _store_golden_scores(folder: RunDirectory, samples: list[JudgedSample], scores: list[float]) -> None:
    every = max(1, len(samples) // NUM_GOLDEN_SCORES)
    golden = [
        {"question": sample.question, "solution": sample.completion, "score": score}
        for sample, score in list(zip(samples, scores, strict=True))[::every][:NUM_GOLDEN_SCORES]
    ]
    try:
        metadata = read_json(folder, MODEL, METADATA_FILE) or {}
    except ValueError as error:
        damaged, model = folder.path(MODEL, METADATA_FILE), folder.path(MODEL)
        raise ModelError(f"{damaged}: damaged ({error}); delete {model} and start again") from error
    write_json({**metadata, "golden_scores": golden}, folder, MODEL, METADATA_FILE)


def _on_cluster(
    function: Callable[..., Result],
    trainers: TrainersConfig,
    model: str,
    *arguments: Any,  # noqa: ANN401
    **settings: Any,  # noqa: ANN401
) -> Result:
    """Run a function of a model in one task, on as many GPUs of one node as train the model, or without any."""
    on_gpu = trainers.accelerator_type is not None
    task = ray.remote(_with_model).options(
        num_cpus=1,
        num_gpus=min(trainers.num_workers, _gpus_of_largest_node(trainers.accelerator_type)) if on_gpu else 0,
        accelerator_type=trainers.accelerator_type,
        runtime_env=runtime_environment(trainers),
    )
    with plain_errors():
        found: Result = ray.get(
            task.remote(function, model, *arguments, device="cuda" if on_gpu else "cpu", **settings)
        )
    return found


def _with_model(function: Callable[..., Result], model: str, *arguments: Any, **settings: Any) -> Result:  # noqa: ANN401
    with local_copy(model) as folder:
        return function(str(folder), *arguments, **settings)


def _gpus_of_largest_node(kind: str | None) -> int:
    """Return how many GPUs of a kind one task can have; 1 while an autoscaling cluster has none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max([1, *(int(node.get("GPU", 0)) for node in nodes if f"accelerator_type:{kind}" in node)])
