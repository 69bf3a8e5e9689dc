"""What the solver gives back: the answer, and everything that it was made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from metamath_ray.reranking import Choice
from metamath_ray.types import AnswerCluster, FinishReason


class StopReason(StrEnum):
    """Why sampling ended."""

    ALL_SAMPLES = "all_samples"
    CONFIDENT = "confident"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One sampled solution.

    Attributes:
        index: Its number among the samples of the question, from 0.
        answer: What it states; None for a truncated text.
        score: S of the verifier; None where it was not asked.
        votes: Whether it ended by itself and states an answer that can be read.
    """

    index: int
    text: str
    answer: str | None
    score: float | None
    finish_reason: FinishReason
    seed: int
    num_tokens: int
    votes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCluster:
    """Candidates whose answers are mathematically equal.

    Attributes:
        weight: What the strategy decided by; see `reranking.choose`.
        score: Sum of the members' S; None where none was scored.
        members: Indices of candidates, ascending.
    """

    answer: str
    num_votes: int
    weight: float
    score: float | None
    members: tuple[int, ...]


def scored_clusters(
    clusters: Sequence[AnswerCluster], choice: Choice, scores: Mapping[int, float]
) -> tuple[ScoredCluster, ...]:
    """Join clusters with the weights of a choice among them and with the S of those members that have one."""
    return tuple(
        ScoredCluster(
            answer=cluster.answer,
            num_votes=cluster.num_votes,
            weight=weight,
            score=sum(known) if (known := [scores[index] for index in cluster.members if index in scores]) else None,
            members=cluster.members,
        )
        for cluster, weight in zip(clusters, choice.weights, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one engine was asked, as far as it answered."""

    num_requests: int = 0
    num_prompt_tokens: int = 0
    num_completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            num_requests=self.num_requests + other.num_requests,
            num_prompt_tokens=self.num_prompt_tokens + other.num_prompt_tokens,
            num_completion_tokens=self.num_completion_tokens + other.num_completion_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The answer to one question.

    Attributes:
        answer: As the most candidates of the chosen cluster write it; None when no candidate votes.
        no_answer_reason: Why there is none.
        solution: Text of the chosen candidate.
        chosen: Its index.
        confidence: Share of the deciding weight that the chosen cluster holds.
        clusters: Largest first.
        candidates: Those that ended, by index.
        num_samples_drawn: Samples that ended.
        num_samples_cancelled: Samples that the deadline cut off.
        num_samples_saved: Samples that were never started, because the answer was certain enough or time was over.
        num_verifier_calls_saved: Samples drawn for a strategy that scores, less the calls made: equal texts are scored
            once, texts that do not vote never, nor those outside the largest clusters where these alone count.
        seconds: Wall time by stage: "sampling", "clustering", "scoring", which overlap, and "total".
    """

    answer: str | None
    no_answer_reason: str | None
    solution: str | None
    chosen: int | None
    confidence: float
    clusters: tuple[ScoredCluster, ...]
    candidates: tuple[Candidate, ...]
    stop_reason: StopReason
    num_samples_drawn: int
    num_samples_cancelled: int
    num_samples_saved: int
    num_verifier_calls_saved: int
    generator_usage: Usage
    verifier_usage: Usage
    seconds: Mapping[str, float]
    generator_model: str
    verifier_model: str | None
    prompt_set_hash: str
    verifier_prompt_hash: str | None
