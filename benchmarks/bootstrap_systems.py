"""What benchmarks/bootstrap.py compares: our bootstrap, bare vLLM, and Ray Data's own pipelines, on equal requests."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bootstrap_requests import (
    MODEL,
    REQUESTS,
    Mark,
    Passage,
    bootstrap_config,
    engine_arguments,
    in_order,
    read_requests,
)
from tqdm import tqdm  # type: ignore[import-untyped]

from metamath_ray.config import BootstrapConfig
from metamath_ray.distributed.bootstrap import bootstrap, required_cpus
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import QUIET, served_name
from metamath_ray.distributed.items import BlockCounts
from metamath_ray.distributed.observer import Silent
from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from metamath_ray.inference.models import resolve_model
from metamath_ray.storage import RunDirectory

BATCH_ROWS, BATCHES_AT_ONCE = 64, 4
"""Of Ray Data's pipelines: as many rows in flight as our default has. Its Serve stage takes no more than 4 at once."""
APPLICATION = "stock"
STOCK_DEPLOYMENT = f"LLMServer:{DEPLOYMENT_NAME.rpartition(':')[2]}"
PRINTED, WRITTEN = "texts.json", "written"
SPARE_CPUS = 2
"""Logical CPUs for the tasks of Ray Data's pipelines around the one with the model."""


class _Clock(Silent):
    """Notes when a block of items was stored."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Note it."""
        del total
        self.marks.append((time.time(), counts.num_items))


def ours(folder: Path, config: BootstrapConfig) -> Passage:
    """Run `metamath_ray.distributed.bootstrap`, from problems to outcomes in parquet, graded."""
    del folder
    clock = _Clock()
    counts = bootstrap(config, observer=clock)
    run = RunDirectory(config.run_directory)
    rows = [row for name in run.outcome_shards() for row in run.read_shard(name, ["solution"]).to_pylist()]
    texts = {row["solution"]["seed"]: row["solution"]["text"] for row in rows}
    return Passage(marks=clock.marks, num_tokens=counts.num_tokens, texts=texts)


class _Ends(tqdm):  # type: ignore[misc]
    """A progress bar that nobody sees, and that notes when a request ended."""

    def __init__(self, *given: Any, **options: Any) -> None:  # noqa: ANN401
        self.times: list[float] = []
        super().__init__(*given, **{**options, "file": Path(os.devnull).open("w")})  # noqa: SIM115

    def update(self, n: float = 1) -> None:
        """Note the time."""
        self.times.append(time.time())
        super().update(n)


def bare(folder: Path, config: BootstrapConfig) -> Passage:
    """Put all requests to `vllm.LLM.generate`; nothing is graded or written."""
    arguments = engine_arguments(config)
    os.environ.update(arguments["runtime_env"]["env_vars"])
    from vllm import LLM, SamplingParams, TokensPrompt  # noqa: PLC0415  (after the environment is set)

    rows, bars = read_requests(folder), list[_Ends]()

    def bar(*given: Any, **options: Any) -> _Ends:  # noqa: ANN401
        bars.append(_Ends(*given, **options))
        return bars[-1]

    engine = LLM(model=resolve_model(MODEL), **arguments["engine_kwargs"])
    outputs = engine.generate(
        [TokensPrompt(prompt_token_ids=row["token_ids"]) for row in rows],
        [SamplingParams(**row["parameters"]) for row in rows],
        use_tqdm=bar,
    )
    texts = [output.outputs[0].text for output in outputs]
    return Passage(
        marks=in_order(bars[-1].times),  # the first is of the prompts that are read in
        num_tokens=sum(len(output.outputs[0].token_ids) for output in outputs),
        texts={row["parameters"]["seed"]: text for row, text in zip(rows, texts, strict=True)},
    )


def stock_over_serve(folder: Path, config: BootstrapConfig) -> Passage:
    """Run Ray Data's pipeline over Ray Serve's own LLM server, to parquet.

    One block holds all rows: the stage works on 4 batches of a block at once, and on one block after the other. Its
    rows carry no time, so an item ends when its request was made (in whole seconds) and what it took.
    """
    from ray import serve  # noqa: PLC0415
    from ray.data.llm import ServeDeploymentProcessorConfig, build_processor  # noqa: PLC0415
    from ray.serve.config import ProxyLocation  # noqa: PLC0415
    from ray.serve.llm import LLMConfig, build_llm_deployment  # noqa: PLC0415
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest as Asked  # noqa: PLC0415

    def preprocess(row: dict[str, Any]) -> dict[str, Any]:
        asked = {"model": served_name(MODEL), "prompt": list(row["token_ids"]), **row["parameters"]}
        return {"method": "completions", "dtype": "Asked", "request_kwargs": asked, "seed": row["parameters"]["seed"]}

    def postprocess(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "seed": row["seed"],
            "text": row["choices"][0]["text"],
            "num_tokens": row["usage"]["completion_tokens"],
            "ended": row["created"] + row["time_taken"],
        }

    with _cluster(config):
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=QUIET)
        target = build_llm_deployment(LLMConfig(**engine_arguments(config)))
        serve.run(target, name=APPLICATION, route_prefix=None, logging_config=QUIET)
        processor = build_processor(
            ServeDeploymentProcessorConfig(
                deployment_name=STOCK_DEPLOYMENT,
                app_name=APPLICATION,
                dtype_mapping={"Asked": Asked},
                batch_size=BATCH_ROWS,
            ),
            preprocess=preprocess,
            postprocess=postprocess,
        )
        return _through(processor, folder, num_blocks=1)


def stock_own_engine(folder: Path, config: BootstrapConfig) -> Passage:
    """Run Ray Data's pipeline with vLLM in its own actor, to parquet, a block a batch; an item ends with its block."""
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig  # noqa: PLC0415

    def preprocess(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "tokenized_prompt": list(row["token_ids"]),
            "sampling_params": dict(row["parameters"]),
            "seed": row["parameters"]["seed"],
        }

    def postprocess(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "seed": row["seed"],
            "text": row["generated_text"],
            "num_tokens": row["num_generated_tokens"],
            "ended": time.time(),
        }

    arguments = engine_arguments(config)
    stages = dict.fromkeys(("chat_template_stage", "tokenize_stage", "detokenize_stage"), False)
    with _cluster(config):
        processor = build_processor(
            vLLMEngineProcessorConfig(
                model_source=resolve_model(MODEL),
                engine_kwargs=arguments["engine_kwargs"],
                placement_group_config=arguments["placement_group_config"],
                runtime_env=arguments["runtime_env"],
                log_engine_metrics=False,
                batch_size=BATCH_ROWS,
                max_concurrent_batches=BATCHES_AT_ONCE,
                **stages,
            ),
            preprocess=preprocess,
            postprocess=postprocess,
        )
        return _through(processor, folder, num_blocks=math.ceil(len(read_requests(folder)) / BATCH_ROWS))


@contextmanager
def _cluster(config: BootstrapConfig) -> Iterator[None]:
    num_cpus = required_cpus(config.engine, config.execution) + SPARE_CPUS
    with connected(config.ray, num_cpus=num_cpus, logs=None):
        yield


def _through(processor: Any, folder: Path, *, num_blocks: int) -> Passage:  # noqa: ANN401
    """Run a processor of Ray Data's from so many blocks of requests to a folder of parquet files."""
    import ray  # noqa: PLC0415

    requests = pq.read_table(folder / REQUESTS)
    size = math.ceil(len(requests) / num_blocks)
    blocks = [requests.slice(start, size) for start in range(0, len(requests), size)]
    processor(ray.data.from_arrow(blocks)).write_parquet(str(folder / WRITTEN))
    rows = pq.read_table(folder / WRITTEN).to_pylist()
    return Passage(
        marks=in_order([row["ended"] for row in rows]),
        num_tokens=sum(row["num_tokens"] for row in rows),
        texts={row["seed"]: row["text"] for row in rows},
    )


OURS, BARE, OVER_SERVE, OWN_ENGINE = "ours", "vllm.LLM.generate", "Ray Data over Serve", "Ray Data, its own engine"
SYSTEMS: Mapping[str, Callable[[Path, BootstrapConfig], Passage]] = {
    OURS: ours,
    BARE: bare,
    OVER_SERVE: stock_over_serve,
    OWN_ENGINE: stock_own_engine,
}


def run_system(name: str, folder: Path, num_items: int) -> dict[str, Any]:
    """Run one system in this process; its texts go to the folder."""
    passage = SYSTEMS[name](folder, bootstrap_config(folder, num_items))
    texts = {str(seed): text.strip() for seed, text in passage.texts.items()}
    (folder / PRINTED).write_text(json.dumps(texts), encoding="utf-8")
    assert all(before[1] <= after[1] for before, after in pairwise(passage.marks))
    return {"marks": passage.marks, "num_tokens": passage.num_tokens}
