"""Scoring by a verifier as `metamath-ray sample` does it, against one request a solution that reuses nothing.

* ours: rows of a plan through the runner of `metamath_ray.distributed.scoring`, question by question, on a deployment
  as the product makes it, with what vLLM's prefix cache spares of a question that is asked again;
* alone: the same rows, each a request of its own to a deployment whose prefix cache is off.

Both are up at once and one works at a time: after a warm-up in rounds, each with new questions and another order. A
question has 16 distinct solutions of up to five steps, its own and other problems'. Prints a table and, as its last
line, one JSON object.

    python benchmarks/scoring.py [--quick] [--questions N] [--rounds N]
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table
from rounds import spread

from metamath_ray.config import ExecutionConfig, RayConfig, SampleConfig
from metamath_ray.config.solve import EMBEDDED_VERIFIER
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import CPU_PER_REPLICA, generator
from metamath_ray.distributed.scoring import CheckedVerifier, ScoreRunner, ScoreRunnerFactory, check_verifier
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.storage.samples import solution_id
from metamath_ray.terminal_quiet import quiet
from metamath_ray.types import OutcomeStatus

OURS, ALONE = "ours", "one request a solution, no prefix cache"
SAMPLES_A_QUESTION = 16
QUESTIONS, QUICK_QUESTIONS = 64, 16
ROUNDS, QUICK_ROUNDS = 5, 2
SPARE_CPUS = 2
DATA_SEED = 47
WIDTH = 120
SAME = 1e-3
"""Scores of equal prompts differ by rounding alone."""

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One system through the rows of one round."""

    seconds: float
    scores: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Solutions scored a second."""
        return len(self.scores) / self.seconds


def main() -> None:
    """Measure and print."""
    given = _arguments()
    num_questions = given.questions or (QUICK_QUESTIONS if given.quick else QUESTIONS)
    num_rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    with quiet(None) as console:
        console.width = WIDTH
        passes = measure(num_questions, num_rounds)
        figures = show(passes, num_questions, console)
    print(json.dumps({"hardware": hardware(), "versions": versions(), "rounds": num_rounds, **figures}))


def measure(num_questions: int, num_rounds: int) -> dict[str, list[Pass]]:
    """Bring both deployments up and let them take turns."""
    kinds = {OURS: verifier(), ALONE: verifier(enable_prefix_caching=False)}
    with ExitStack() as up:
        num_cpus = len(kinds) * CPU_PER_REPLICA + SPARE_CPUS
        up.enter_context(connected(RayConfig(), num_cpus=num_cpus, logs=None))
        runners: dict[str, ScoreRunner] = {}
        for number, (name, checked) in enumerate(kinds.items()):
            application = up.enter_context(
                generator(checked.engine, model_path=checked.model_path, application=f"verifier-{number}")
            )
            runners[name] = ScoreRunnerFactory(checked=checked, application=application)()
        return asyncio.run(in_turns(runners, num_questions, num_rounds))


def verifier(**engine_kwargs: Any) -> CheckedVerifier:  # noqa: ANN401
    """Return the embedded verifier as a sampling run has it."""
    engine = {"kind": "serve", "model": EMBEDDED_VERIFIER, "max_num_seqs": 128, "engine_kwargs": engine_kwargs}
    settings = {"problems": {"format": "word_problems"}, "verifier": engine}
    checked = check_verifier(SampleConfig.model_validate(settings))
    assert checked is not None
    return checked


async def in_turns(runners: dict[str, ScoreRunner], num_questions: int, num_rounds: int) -> dict[str, list[Pass]]:
    """Give each round's rows to every system, in another order each time; the first round warms up."""
    rows, passes = solutions((num_rounds + 1) * num_questions), {name: list[Pass]() for name in runners}
    for number in range(num_rounds + 1):
        batch, first = list(islice(rows, num_questions * SAMPLES_A_QUESTION)), number % len(runners)
        for name in [*runners, *runners][first : first + len(runners)]:
            found = await through(runners[name], batch)
            if number:
                passes[name].append(found)
    return passes


def solutions(num_questions: int) -> Iterator[dict[str, Any]]:
    """Yield rows of a plan, question by question."""
    problems = list(generate_problems("validation", max(num_questions, 2 * SAMPLES_A_QUESTION), seed=DATA_SEED))
    chance = random.Random(DATA_SEED)
    for problem in problems[:num_questions]:
        others = {other.reference_solution for other in chance.sample(problems, 2 * SAMPLES_A_QUESTION)}
        chosen = [problem.reference_solution, *sorted(others - {problem.reference_solution})][:SAMPLES_A_QUESTION]
        for text in chosen:
            yield {"item_id": solution_id(problem.question, text), "question": problem.question, "solution": text}


async def through(runner: ScoreRunner, rows: Rows) -> Pass:
    """Score rows, as many at once as a worker of the product has."""
    gate = asyncio.Semaphore(ExecutionConfig().rows_in_flight)

    async def score(row: dict[str, Any]) -> float:
        async with gate:
            outcome = await runner.run(row)
        assert outcome["status"] == OutcomeStatus.ACCEPTED, outcome["error"]
        return float(outcome["score"])

    began = time.perf_counter()
    scores = await asyncio.gather(*map(score, rows))
    return Pass(seconds=time.perf_counter() - began, scores=tuple(scores))


def show(passes: dict[str, list[Pass]], num_questions: int, console: Console) -> dict[str, Any]:
    """Print and return the figures."""
    title = f"{num_questions} questions × {SAMPLES_A_QUESTION} solutions a round, {len(passes[OURS])} rounds"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "solutions/s", "spread", "ours / it", "spread"):
        table.add_column(column, justify="right" if column else "left")
    figures: dict[str, Any] = {"questions": num_questions, "samples": SAMPLES_A_QUESTION, "systems": {}}
    for name, runs in passes.items():
        rates = spread([run.rate for run in runs])
        ratios = spread([ours.rate / its.rate for ours, its in zip(passes[OURS], runs, strict=True)])
        figures["systems"][name] = {"solutions_per_second": rates, "ours_over_it": ratios}
        table.add_row(
            name,
            f"{rates['median']:,.1f}",
            f"{rates['lowest']:,.1f} – {rates['highest']:,.1f}",
            f"{ratios['median']:.2f}",
            f"{ratios['lowest']:.2f} – {ratios['highest']:.2f}",
        )
    figures["same_scores"] = agreement(passes[OURS], passes[ALONE])
    console.print(table)
    console.print(f"both give the same score to {figures['same_scores']:.1%} of the solutions")
    return figures


def agreement(runs: Sequence[Pass], others: Sequence[Pass]) -> float:
    """Return the share of solutions that both score alike."""
    pairs = [
        (ours, its)
        for run, other in zip(runs, others, strict=True)
        for ours, its in zip(run.scores, other.scores, strict=True)
    ]
    return round(sum(abs(ours - its) < SAME for ours, its in pairs) / len(pairs), 4)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer questions and rounds; under two minutes")
    parser.add_argument("--questions", type=int, help="questions a round; 64 by default")
    parser.add_argument("--rounds", type=int, help="rounds that count; 5 by default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
