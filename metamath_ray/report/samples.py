"""Samples that a reader of the report can browse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice, zip_longest


class SampleKind(StrEnum):
    """Why a sample is worth a look."""

    RIGHT = "right"
    WRONG = "wrong"
    DISAGREED = "disagreed"
    """Vote and verifier chose different answers, or the majority is wrong while some sample is right."""
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCluster:
    """One answer to the problem, among all of its samples.

    Attributes:
        total_score: Sum of S over the cluster; None without scores.
        is_correct: None where the grader could not tell.
    """

    answer: str
    num_votes: int
    total_score: float | None = None
    is_correct: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """One sample with the problem that it answers.

    Attributes:
        extracted_answer: None where none can be read.
        verdict: A `GradeVerdict`.
        score: The verifier's S; None where it was not asked.
        clusters: All answers to the problem, the largest first.
    """

    question: str
    reference_answer: str
    completion: str
    extracted_answer: str | None
    verdict: str
    score: float | None
    kind: SampleKind
    clusters: tuple[ShownCluster, ...] = ()


def fair_share(samples: Mapping[str, Sequence[ShownSample]], limit: int) -> dict[str, tuple[ShownSample, ...]]:
    """Return at most `limit` samples: the first of each model and kind, then the second of each, and so on.

    Within a model the order stays.
    """
    groups = [
        [(name, place) for place, sample in enumerate(of_model) if sample.kind is kind]
        for name, of_model in samples.items()
        for kind in SampleKind
    ]
    turns = (place for place in chain.from_iterable(zip_longest(*groups)) if place is not None)
    kept = set(islice(turns, limit))
    return {
        name: tuple(sample for place, sample in enumerate(of_model) if (name, place) in kept)
        for name, of_model in samples.items()
    }
