"""The solve service against what it is made of: time for the same samples, in one run.

* service: `POST /v1/solve` of ours, majority vote, no verifier;
* engine: the same prompts, parameters and seeds put straight to vLLM's asynchronous engine; nobody votes;
* vllm serve: the same as completions of a bare `vllm serve`, a request a sample; the client groups answers and votes.

Each has an engine of its own with the same arguments, and one of them works at a time: after a warm-up in rounds, each
with new questions and another order. As a batch of another shape rounds floats otherwise, samples of one seed may
differ, so what is compared is the time for a generated token. Prints tables and, as its last line, one JSON object.

    python benchmarks/solve.py [--quick] [--rounds N]
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import httpx
import uvloop
from rich.console import Console
from rich.table import Table
from rounds import spread
from solve_systems import (
    TIME_LIMIT_SECONDS,
    WIDTH,
    Ask,
    DirectEngine,
    Reply,
    bare_server,
    by_samples,
    over_http,
    service,
    service_config,
)

from metamath_ray.config import SolveConfig
from metamath_ray.config.solve import EMBEDDED_GENERATOR
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.distributed.deployment import llm_config_arguments, served_name
from metamath_ray.inference.models import resolve_model
from metamath_ray.inference.openai_compatible import OpenAICompatibleEngine
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.terminal_quiet import quiet
from metamath_ray.types import Problem

SERVICE, ENGINE, BARE = "service", "engine", "vllm serve"
DATA_SEED = 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked.

    Attributes:
        questions: Questions at once → questions of a round.
    """

    num_samples: int
    num_rounds: int
    questions: dict[int, int]


FULL = Workload(num_samples=16, num_rounds=7, questions={1: 12, 8: 32, 64: 128})
QUICK = Workload(num_samples=4, num_rounds=2, questions={1: 3, 8: 8, 64: 64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One system through the questions of one round; seconds from the first question to the last answer."""

    seconds: float
    replies: list[Reply]

    @property
    def num_tokens(self) -> int:
        """Tokens generated."""
        return sum(reply.num_tokens for reply in self.replies)

    @property
    def seconds_per_token(self) -> float:
        """Time for a generated token."""
        return self.seconds / self.num_tokens


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer samples, questions and rounds")
    parser.add_argument("--rounds", type=int, help="rounds that count; 7 by default")
    given = parser.parse_args()
    workload = QUICK if given.quick else FULL
    workload = replace(workload, num_rounds=given.rounds or workload.num_rounds)
    with quiet(None) as console:
        console.width = WIDTH
        figures = overhead(workload, console)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def overhead(workload: Workload, console: Console) -> dict[str, Any]:
    """Bring the three systems up, measure and show them."""
    config = service_config(
        verifier=None, limits={"max_running": max(workload.questions), "max_queued": max(workload.questions)}
    )
    arguments = llm_config_arguments(config.generator, model_path=resolve_model(EMBEDDED_GENERATOR))
    os.environ.update(arguments["runtime_env"]["env_vars"])
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # Ray's own default for its processes
    with ExitStack() as up:
        url = up.enter_context(service(config))
        bare_url = up.enter_context(bare_server(arguments["engine_kwargs"]))
        return uvloop.run(measure(config, url, bare_url, arguments["engine_kwargs"], workload, console))


async def measure(
    config: SolveConfig,
    url: str,
    bare_url: str,
    engine_kwargs: dict[str, Any],
    workload: Workload,
    console: Console,
) -> dict[str, Any]:
    """Let the systems take turns at each concurrency."""
    engine = DirectEngine(engine_kwargs)
    bare = OpenAICompatibleEngine(
        base_url=bare_url,
        model=served_name(EMBEDDED_GENERATOR),
        api_key="unused",
        timeout_seconds=TIME_LIMIT_SECONDS,
    )
    figures: dict[str, Any] = {"num_samples": workload.num_samples, "rounds": workload.num_rounds, "concurrency": {}}
    try:
        async with httpx.AsyncClient(timeout=TIME_LIMIT_SECONDS, limits=httpx.Limits(max_connections=None)) as client:
            systems = {
                SERVICE: over_http(client, url, workload.num_samples),
                ENGINE: by_samples(engine, config, workload.num_samples, votes=False),
                BARE: by_samples(bare, config, workload.num_samples, votes=True),
            }
            for concurrency, num_questions in workload.questions.items():
                passes = await in_turns(systems, concurrency, num_questions, workload.num_rounds)
                figures["concurrency"][str(concurrency)] = show(passes, concurrency, workload, console)
    finally:
        engine.close()
    return figures


async def in_turns(
    systems: dict[str, Ask], concurrency: int, num_questions: int, num_rounds: int
) -> dict[str, list[Pass]]:
    """Give each round's questions to every system, in another order each time; the first round warms up."""
    total = (num_rounds + 1) * num_questions
    problems = generate_problems("validation", total, seed=DATA_SEED + concurrency)
    passes: dict[str, list[Pass]] = {name: [] for name in systems}
    for number in range(num_rounds + 1):
        batch, first = list(islice(problems, num_questions)), number % len(systems)
        for name in [*systems, *systems][first : first + len(systems)]:
            found = await through(systems[name], batch, concurrency)
            if number:
                passes[name].append(found)
    return passes


async def through(ask: Ask, problems: Sequence[Problem], concurrency: int) -> Pass:
    """Ask the questions, so many at once."""
    gate = asyncio.Semaphore(concurrency)

    async def timed(problem: Problem) -> Reply:
        async with gate:
            began = time.perf_counter()
            reply = await ask(problem)
            seconds = time.perf_counter() - began
        return Reply(answer=reply.answer, num_tokens=reply.num_tokens, seconds=seconds)

    began = time.perf_counter()
    replies = await asyncio.gather(*map(timed, problems))
    return Pass(seconds=time.perf_counter() - began, replies=replies)


def show(passes: dict[str, list[Pass]], concurrency: int, workload: Workload, console: Console) -> dict[str, Any]:
    """Print and return the figures of one concurrency."""
    num_questions = workload.questions[concurrency]
    table = Table(
        title=f"{concurrency} at once: {num_questions} questions × {workload.num_samples} samples a round, "
        f"{workload.num_rounds} rounds",
        title_justify="left",
        box=None,
    )
    for column in ("", "seconds", "tokens/s", "spread", "a question, s", "tokens a sample", "service / it", "spread"):
        table.add_column(column, justify="left" if not column else "right")
    figures: dict[str, Any] = {"questions": num_questions}
    for name, runs in passes.items():
        found = figures[name] = described(runs, passes[SERVICE], workload.num_samples)
        rate, ratio = found["tokens_per_second"], found["service_over_it"]
        table.add_row(
            name,
            f"{found['seconds']['median']:.2f}",
            f"{rate['median']:,.0f}",
            f"{rate['lowest']:,.0f} – {rate['highest']:,.0f}",
            f"{found['question_seconds']['median']:.2f}",
            f"{found['tokens_a_sample']:.2f}",
            f"{ratio['median']:.3f}",
            f"{ratio['lowest']:.3f} – {ratio['highest']:.3f}",
        )
    figures["same_answers"] = agreement(passes[SERVICE], passes[BARE])
    console.print(table)
    console.print(f"service and client-side vote give the same answer to {figures['same_answers']:.1%} of questions\n")
    return figures


def described(runs: Sequence[Pass], service_runs: Sequence[Pass], num_samples: int) -> dict[str, Any]:
    """Return a system's figures; its time for a token against the service's, round by round."""
    pairs = zip(service_runs, runs, strict=True)
    num_samples_drawn = num_samples * sum(len(run.replies) for run in runs)
    return {
        "seconds": spread([run.seconds for run in runs]),
        "tokens_per_second": spread([1 / run.seconds_per_token for run in runs]),
        "question_seconds": spread([statistics.median(one.seconds for one in run.replies) for run in runs]),
        "tokens_a_sample": round(sum(run.num_tokens for run in runs) / num_samples_drawn, 3),
        "service_over_it": spread([ours.seconds_per_token / its.seconds_per_token for ours, its in pairs]),
    }


def agreement(runs: Sequence[Pass], others: Sequence[Pass]) -> float:
    """Return the share of questions that two systems answer alike."""
    pairs = [
        (ours.answer, its.answer)
        for run, other in zip(runs, others, strict=True)
        for ours, its in zip(run.replies, other.replies, strict=True)
    ]
    return round(sum(ours == its for ours, its in pairs) / len(pairs), 4)


if __name__ == "__main__":
    main()
