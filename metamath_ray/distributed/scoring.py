"""Distinct solutions → S of each, by a verifier on Serve: the operator of a bootstrap, over tables of its own.

samples ──▶ scores/<verifier>/plan.parquet ──run_all──▶ scores/<verifier>/outcomes/*.parquet
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from metamath_ray.config import ExecutionConfig, SampleConfig, ServeEngineConfig
from metamath_ray.distributed.deployment import generator
from metamath_ray.distributed.driving import Spending, run_all
from metamath_ray.distributed.grouped_calls import FOR_RUNS
from metamath_ray.distributed.items import BlockCounts, ItemsJob
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.distributed.preflight import check_fits
from metamath_ray.distributed.serve_engine import ServeLabelScorer
from metamath_ray.errors import EngineUnavailable, RequestRejected
from metamath_ray.inference import RetryingLabelScorer
from metamath_ray.inference.models import (
    check_kind,
    model_hash,
    resolve_model,
    verifier_prompt_for,
)
from metamath_ray.prompts import VerifierPrompt, VerifierRenderer, load_tokenizer
from metamath_ray.solving import Verifier
from metamath_ray.storage import Manifest, PlanIndex, RunDirectory, outcomes_in_plan_order, unfinished_positions
from metamath_ray.storage.manifest import now
from metamath_ray.storage.samples import solution_id
from metamath_ray.storage.tables import SCORE_TABLES
from metamath_ray.types import OutcomeStatus, content_id


@dataclass(frozen=True, kw_only=True)
class CheckedVerifier:
    """A verifier whose model and prompt were found.

    Attributes:
        content: What decides its scores.
    """

    engine: ServeEngineConfig
    prompt: VerifierPrompt
    model_path: str
    execution: ExecutionConfig
    content: dict[str, str]

    @property
    def identity(self) -> str:
        """Names the folder of its scores."""
        return content_id(sorted(self.content.items()))[:12]


def check_verifier(config: SampleConfig, *, observer: Observer | None = None) -> CheckedVerifier | None:
    """Look at model and prompt before anything starts; None where nothing is scored.

    Raises:
        UserError: One is missing, or the model was trained for another task or with another prompt.
    """
    if config.verifier is None:
        return None
    path = resolve_model(config.verifier.model)
    check_kind(path, "verifier")
    prompt = verifier_prompt_for(path, config.verifier_prompt)
    check_fits(config.verifier, model_path=path, observer=observer or Silent(), name="verifier")
    VerifierRenderer(prompt, load_tokenizer(path))
    content = {"model": config.verifier.model, "model_hash": model_hash(path), "verifier_prompt_hash": prompt.hash}
    return CheckedVerifier(
        engine=config.verifier,
        prompt=prompt,
        model_path=path,
        execution=config.execution,
        content=content,
    )


class ScoreRunner:
    """Scores one solution; lives in a worker."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Score one row of the plan.

        What the engine refuses, a solution longer than its context, fails alone; so does one for which it gives no
        number: that an engine is away, the patient scorer says otherwise.
        """
        try:
            found = await self._verifier.score(row["question"], row["solution"])
        except (RequestRejected, EngineUnavailable) as error:
            return _outcome(row, OutcomeStatus.FAILED, error=str(error))
        return _outcome(row, OutcomeStatus.ACCEPTED, score=found.score, num_prompt_tokens=found.num_prompt_tokens)


def _outcome(
    row: dict[str, Any],
    status: OutcomeStatus,
    *,
    score: float | None = None,
    num_prompt_tokens: int = 0,
    error: str = "",
) -> dict[str, Any]:
    return {
        "item_id": row["item_id"],
        "status": str(status),
        "score": score,
        "num_prompt_tokens": num_prompt_tokens,
        "error": error,
    }


@dataclass(frozen=True, kw_only=True)
class ScoreRunnerFactory:
    """Builds the runner inside a worker."""

    checked: CheckedVerifier
    application: str

    def __call__(self) -> ScoreRunner:
        """Connect to the verifier and build the runner."""
        checked = self.checked
        scorer = ServeLabelScorer(
            application=self.application,
            model=checked.engine.model,
            timeout_seconds=checked.engine.request_timeout_seconds,
            grouping=FOR_RUNS,
        )
        patient = RetryingLabelScorer(scorer, budget_seconds=checked.execution.retry_budget_seconds)
        renderer = VerifierRenderer(checked.prompt, load_tokenizer(checked.model_path))
        return ScoreRunner(Verifier(patient, renderer))


def plan_scores(solutions: Iterable[tuple[str, str]], checked: CheckedVerifier, run: RunDirectory) -> RunDirectory:
    """Plan one score for each distinct (question, solution); return the folder of this verifier's scores."""
    scores = RunDirectory(run.path("scores", checked.identity), SCORE_TABLES)
    scores.write_plan(_plan_rows(solutions))
    if not scores.exists("manifest.json"):
        scores.write_manifest(Manifest(content=dict(checked.content), configuration=checked.engine.model_dump()))
    return scores


def score_solutions(
    scores: RunDirectory,
    checked: CheckedVerifier,
    *,
    retry_failed: bool,
    observer: Observer,
    spending: Spending | None = None,
) -> None:
    """Score what is planned and has no score yet; wants Ray to be up.

    Raises:
        ModelError: The verifier did not come up, or does not give the scores that it gave its trainer.
        RunFailed: Too many solutions failed or the engine stayed away; what is done is stored.
    """
    observer.stage(f"loading {checked.engine.model} into vLLM")
    name = f"verifier-{content_id(scores.root)[:8]}"
    with generator(checked.engine, model_path=checked.model_path, application=name) as application:
        make_runner = ScoreRunnerFactory(checked=checked, application=application)
        observer.stage("scoring")
        job = ItemsJob(
            run=scores,
            mark=scores.claim(),
            make_runner=make_runner,
            execution=checked.execution,
            retry_failed=retry_failed,
        )
        record = partial(_record, scores)
        run_all(job, earlier=_stored(scores), observer=observer, record=record, spending=spending)


def read_scores(scores: RunDirectory) -> dict[str, float]:
    """Return S of each scored solution, by `solution_id`."""
    rows = outcomes_in_plan_order(scores, PlanIndex(scores), ["item_id", "status", "score"])
    return {row["item_id"]: row["score"] for row in rows if row["status"] == OutcomeStatus.ACCEPTED}


def _plan_rows(solutions: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    planned: set[str] = set()
    for question, solution in solutions:
        item_id = solution_id(question, solution)
        if item_id not in planned:
            yield {"item_id": item_id, "position": len(planned), "question": question, "solution": solution}
            planned.add(item_id)


def _stored(scores: RunDirectory) -> BlockCounts:
    num_left, num_planned = unfinished_positions(scores).size, scores.count_plan()
    num_done = num_planned - int(num_left)
    return BlockCounts(num_items=num_done, num_accepted=num_done)


def _record(scores: RunDirectory, counts: BlockCounts, seconds: float) -> None:
    manifest = scores.read_manifest()
    earlier = manifest.stages.get("scoring", {})
    manifest.stages["scoring"] = {
        "ended": now(),
        "num_scored": earlier.get("num_scored", 0) + counts.num_accepted,
        "seconds": round(earlier.get("seconds", 0.0) + seconds, 1),
    }
    scores.write_manifest(manifest)
