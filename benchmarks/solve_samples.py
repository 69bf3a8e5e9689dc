"""Real samples with a verifier's scores: drawn through the solve service, or out of a bootstrap run."""

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
from solve_systems import TIME_LIMIT_SECONDS

from metamath_ray.config.solve import EMBEDDED_VERIFIER
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.distributed.grouped_calls import FOR_RUNS
from metamath_ray.distributed.serve_engine import ServeLabelScorer
from metamath_ray.distributed.serving import APPLICATION
from metamath_ray.errors import DataError
from metamath_ray.grading import Verdict, compare
from metamath_ray.inference.models import resolve_model
from metamath_ray.prompts import VerifierRenderer, load_tokenizer, load_verifier_prompt
from metamath_ray.reranking import Strategy, cluster_answers
from metamath_ray.solving import StopReason, Verifier
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.samples import read_samples
from metamath_ray.types import AnswerCluster, Problem
from services.solve.deployments import VERIFIER_DEPLOYMENT_NAME

FEWEST_SAMPLES = 16
SEED, DATA_SEED = 1, 43
QUESTIONS_AT_ONCE = 4
CALLS_AT_ONCE = 64
NO_VOTE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The samples of one question, in an order.

    Attributes:
        labels: Of each sample, its cluster among all samples; -1 does not vote.
        right: Of each cluster, whether it is the reference answer.
        known: Score of each text that has one.
    """

    problem: Problem
    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    labels: tuple[int, ...]
    right: tuple[bool, ...]
    known: dict[str, float]

    @property
    def num_samples(self) -> int:
        """N."""
        return len(self.texts)

    def is_right(self, index: int) -> bool:
        """Whether a sample votes for the reference answer."""
        return self.labels[index] != NO_VOTE and self.right[self.labels[index]]

    def in_order(self, indices: Sequence[int]) -> "Question":
        """Return these samples in this order."""
        return replace(
            self,
            texts=tuple(self.texts[index] for index in indices),
            tokens=tuple(self.tokens[index] for index in indices),
            labels=tuple(self.labels[index] for index in indices),
        )

    def clusters(self, num_drawn: int) -> list[AnswerCluster]:
        """Group the first samples."""
        members: dict[int, list[int]] = {}
        for index, label in enumerate(self.labels[:num_drawn]):
            if label != NO_VOTE:
                members.setdefault(label, []).append(index)
        return [AnswerCluster(answer=str(label), members=tuple(found)) for label, found in members.items()]

    def scores(self, num_drawn: int) -> dict[int, float]:
        """Return the scores of the first samples, as far as they vote."""
        return {index: self.known[self.texts[index]] for index in range(num_drawn) if self.labels[index] != NO_VOTE}

    def trace(self) -> tuple[list[int], list[bool]]:
        """Return the leader's votes, and whether it is right, after each sample; a tie goes to the earliest."""
        votes: Counter[int] = Counter()
        leads, right = [], []
        for label in self.labels:
            if label != NO_VOTE:
                votes[label] += 1
            leader, most = votes.most_common(1)[0] if votes else (NO_VOTE, 0)
            leads.append(most)
            right.append(leader != NO_VOTE and self.right[leader])
        return leads, right


def question(
    problem: Problem,
    texts: Sequence[str],
    answers: Sequence[str | None],
    tokens: Sequence[int],
    known: dict[str, float],
) -> Question:
    """Group the answers of all samples and grade each group."""
    clusters, labels = cluster_answers(answers), [NO_VOTE] * len(answers)
    for place, cluster in enumerate(clusters):
        for index in cluster.members:
            labels[index] = place
    right = tuple(compare(cluster.answer, problem.reference_answer) is Verdict.EQUAL for cluster in clusters)
    return Question(
        problem=problem, texts=tuple(texts), tokens=tuple(tokens), labels=tuple(labels), right=right, known=known
    )


async def draw(url: str, num_problems: int, num_samples: int) -> list[Question]:
    """Have the service draw and score samples of problems that no model was trained on."""
    gate = asyncio.Semaphore(QUESTIONS_AT_ONCE)
    knobs = {
        "num_samples": num_samples,
        "seed": SEED,
        "strategy": Strategy.WEIGHTED_VOTE,
        "include_candidates": True,
    }

    async def ask(client: httpx.AsyncClient, problem: Problem) -> Question:
        async with gate:
            response = await client.post(f"{url}/v1/solve", json={"question": problem.question, **knobs})
        found: dict[str, Any] = response.raise_for_status().json()
        assert found["stop_reason"] == StopReason.ALL_SAMPLES
        candidates = found["candidates"]
        return question(
            problem,
            [one["text"] for one in candidates],
            [one["answer"] for one in candidates],
            [one["tokens"] for one in candidates],
            {one["text"]: one["score"] for one in candidates if one["score"] is not None},
        )

    async with httpx.AsyncClient(timeout=TIME_LIMIT_SECONDS) as client:
        problems = generate_problems("validation", num_problems, seed=DATA_SEED)
        return list(await asyncio.gather(*(ask(client, problem) for problem in problems)))


def read_questions(run_directory: str, num_problems: int) -> list[Question]:
    """Read the samples of a bootstrap run, without scores; as many of each problem as most have.

    Raises:
        DataError: That is fewer than 16.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for batch in read_samples(RunDirectory(run_directory)):
        for row in batch.to_pylist():
            rows.setdefault(row["problem_id"], []).append(row)
    num_samples = statistics.mode(map(len, rows.values())) if rows else 0
    if num_samples < FEWEST_SAMPLES:
        raise DataError(
            f"{run_directory}: {num_samples} samples of most problems; run bootstrap with "
            f"augmentation.answer_augmentation of {FEWEST_SAMPLES} or more"
        )
    whole = [sorted(found, key=lambda row: row["sample_index"]) for found in rows.values() if len(found) >= num_samples]
    return [
        question(
            Problem(**found[0]["problem"]),
            [row["completion"].strip() for row in found[:num_samples]],
            [row["extracted_answer"] for row in found[:num_samples]],
            [row["num_completion_tokens"] for row in found[:num_samples]],
            {},
        )
        for found in whole[:num_problems]
    ]


async def scored(questions: Sequence[Question]) -> list[Question]:
    """Have the verifier of the service that is up score every text that votes, each once."""
    scorer = ServeLabelScorer(
        application=APPLICATION,
        model=EMBEDDED_VERIFIER,
        timeout_seconds=TIME_LIMIT_SECONDS,
        grouping=FOR_RUNS,
        deployment=VERIFIER_DEPLOYMENT_NAME,
    )
    tokenizer = load_tokenizer(resolve_model(EMBEDDED_VERIFIER))
    verifier = Verifier(scorer, VerifierRenderer(load_verifier_prompt("paper"), tokenizer))
    gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def score(one: Question, text: str) -> tuple[str, float]:
        async with gate:
            return text, (await verifier.score(one.problem.question, text)).score

    async def all_scores(one: Question) -> Question:
        texts = {text for text, label in zip(one.texts, one.labels, strict=True) if label != NO_VOTE}
        return replace(one, known=dict(await asyncio.gather(*(score(one, text) for text in sorted(texts)))))

    return list(await asyncio.gather(*map(all_scores, questions)))
