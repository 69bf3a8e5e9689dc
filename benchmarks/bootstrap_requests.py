"""The requests that benchmarks/bootstrap.py puts to every system, and when their answers came."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metamath_ray.augmentation import PlanSummary, run_item
from metamath_ray.config import BootstrapConfig
from metamath_ray.datasets.reading import read_configured
from metamath_ray.distributed.deployment import llm_config_arguments
from metamath_ray.distributed.planning import planned_items
from metamath_ray.distributed.preflight import check, renderer, sampling_parameters
from metamath_ray.errors import RequestRejected
from metamath_ray.inference import CompletionRequest
from metamath_ray.inference.models import context_length, resolve_model
from metamath_ray.types import Completion

MODEL = "embedded:teacher"
SAMPLES_A_QUESTION = 2
REQUESTS = "requests.parquet"
STEADY_FROM, STEADY_TO = 0.1, 0.8
"""Shares of the items: an engine that decodes 128 at once is full from the one to the other, if they are 2,000."""

Mark = tuple[float, int]
"""A time, in seconds since the epoch, and how many items had ended by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What one system did with the requests.

    Attributes:
        marks: In order.
        num_tokens: Tokens generated.
        texts: Seed → completion; seeds are distinct.
    """

    marks: list[Mark]
    num_tokens: int
    texts: dict[int, str]


def steady_rate(marks: Sequence[Mark], num_tokens: int) -> float:
    """Return the tokens a second between two shares of the items, without the first ones' start and the last ones' end.

    Args:
        marks: The last has all items.
        num_tokens: Tokens of all items.
    """
    total = marks[-1][1]
    first, last = (next(mark for mark in marks if mark[1] >= share * total) for share in (STEADY_FROM, STEADY_TO))
    return (last[1] - first[1]) / (last[0] - first[0]) * num_tokens / total


def bootstrap_config(folder: Path, num_items: int, **execution: int) -> BootstrapConfig:
    """Return the configuration of a bootstrap of so many items: one request each, of the embedded teacher."""
    others = dict.fromkeys(("rephrasing", "self_verification", "fobar"), 0)
    source = {"format": "word_problems", "split": "train", "limit": math.ceil(num_items / SAMPLES_A_QUESTION)}
    settings = {
        "run_directory": str(folder / "run"),
        "source": source,
        "augmentation": {"answer_augmentation": SAMPLES_A_QUESTION, **others},
        "sampling": {"solve": {"max_tokens": 256}},
        "engine": {"kind": "serve", "model": MODEL, "max_num_seqs": 128},
        "execution": execution,
    }
    return BootstrapConfig.model_validate(settings)


class _Recorder:
    """An engine that answers nothing and keeps what it was asked."""

    model = MODEL

    def __init__(self) -> None:
        self.requests: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Keep a request."""
        self.requests.append(request)
        raise RequestRejected("kept")


def write_requests(folder: Path, config: BootstrapConfig) -> None:
    """Write what a bootstrap will ask its engine, in the order of its plan."""
    checked, recorder = check(config), _Recorder()
    render = renderer(config, model_path=checked.model_path)
    problems = read_configured(config.source)
    rewrite, solve = sampling_parameters(config.sampling.rewrite), sampling_parameters(config.sampling.solve)

    async def record() -> None:
        for item in planned_items(problems, checked, PlanSummary()):
            await run_item(item, engine=recorder, renderer=render, rewrite_sampling=rewrite, solve_sampling=solve)

    asyncio.run(record())
    longest = context_length(checked.model_path) or math.inf
    rows = [_request_row(request, longest) for request in recorder.requests]
    pq.write_table(pa.Table.from_pylist(rows), folder / REQUESTS)


def _request_row(request: CompletionRequest, longest: float) -> dict[str, Any]:
    token_ids = list(request.prompt.token_ids or ())
    sampling = request.sampling
    parameters = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": int(min(sampling.max_tokens, longest - len(token_ids))),
        "stop": list(sampling.stop),
        "seed": request.seed,
    }
    return {"token_ids": token_ids, "parameters": parameters}


def read_requests(folder: Path) -> list[dict[str, Any]]:
    """Read what `write_requests` wrote."""
    rows: list[dict[str, Any]] = pq.read_table(folder / REQUESTS).to_pylist()
    return rows


def engine_arguments(config: BootstrapConfig) -> dict[str, Any]:
    """Return what our own deployment of the model is made from."""
    engine = config.engine
    assert engine.kind == "serve"
    return llm_config_arguments(engine, model_path=resolve_model(MODEL))


def in_order(times: Sequence[float]) -> list[Mark]:
    """Return what the times at which items ended say."""
    return [(ended, number) for number, ended in enumerate(sorted(times), start=1)]
