"""Between the wire and the solver's records."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from metamath_ray.config import SolveConfig
from metamath_ray.reranking import AdaptiveSampling
from metamath_ray.solving import Candidate, ScoredCluster, Solution, SolveRequest, Usage
from metamath_ray.types import SamplingParameters
from services.solve import schemas
from services.solve.limits import default_strategy

SEED_BITS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question on its way to the solver.

    Attributes:
        id: The request's id; those of a batch are numbered.
        caller: Name of the key, for the rates.
    """

    id: str
    caller: str
    request: SolveRequest


def solve_request(question: str, knobs: schemas.SolveKnobs, config: SolveConfig) -> SolveRequest:
    """Fill in what the request does not say."""
    sampling, adaptive = config.sampling, knobs.adaptive
    return SolveRequest(
        question=question,
        num_samples=knobs.num_samples or config.num_samples,
        strategy=knobs.strategy or default_strategy(config),
        num_clusters=knobs.num_clusters,
        num_best=knobs.num_best,
        sampling=SamplingParameters(
            temperature=sampling.temperature if knobs.temperature is None else knobs.temperature,
            top_p=knobs.top_p or sampling.top_p,
            max_tokens=knobs.max_tokens or sampling.max_tokens,
        ),
        seed=secrets.randbits(SEED_BITS) if knobs.seed is None else knobs.seed,
        adaptive=AdaptiveSampling(min_samples=adaptive.min_samples, confidence=adaptive.confidence)
        if adaptive
        else None,
        time_limit_seconds=knobs.time_limit_seconds or config.limits.default_time_limit_seconds,
    )


def solve_response(solution: Solution, asked: Asked, *, queue_seconds: float) -> schemas.SolveResponse:
    """Put a solution on the wire, candidates included."""
    seconds = solution.seconds
    return schemas.SolveResponse(
        id=asked.id,
        answer=_text(solution.answer),
        no_answer_reason=solution.no_answer_reason,
        solution=_text(solution.solution),
        confidence=solution.confidence,
        strategy=asked.request.strategy,
        stop_reason=str(solution.stop_reason),
        clusters=clusters(solution.clusters),
        candidates=[candidate(one) for one in solution.candidates],
        num_samples=solution.num_samples_drawn,
        usage=schemas.Usage(generator=_usage(solution.generator_usage), verifier=_verifier_usage(solution)),
        saved=schemas.Saved(samples=solution.num_samples_saved, verifier_calls=solution.num_verifier_calls_saved),
        timings=schemas.Timings(
            queue=queue_seconds,
            sampling=seconds["sampling"],
            clustering=seconds["clustering"],
            scoring=seconds["scoring"],
            total=queue_seconds + seconds["total"],
        ),
        models=schemas.Models(
            generator=solution.generator_model,
            verifier=solution.verifier_model,
            prompt_set_hash=solution.prompt_set_hash,
            verifier_prompt_hash=solution.verifier_prompt_hash,
        ),
        seed=asked.request.seed,
    )


def without_candidates(response: schemas.SolveResponse) -> schemas.SolveResponse:
    """Leave the samples out."""
    return response.model_copy(update={"candidates": None})


def clusters(found: Iterable[ScoredCluster]) -> list[schemas.Cluster]:
    """Put clusters on the wire."""
    return [
        schemas.Cluster(
            answer=_clean(one.answer),
            votes=one.num_votes,
            weight=one.weight,
            score=one.score,
            members=list(one.members),
        )
        for one in found
    ]


def candidate(one: Candidate) -> schemas.Candidate:
    """Put a sample on the wire."""
    return schemas.Candidate(
        index=one.index,
        text=_clean(one.text),
        answer=_text(one.answer),
        score=one.score,
        finish_reason=str(one.finish_reason),
        votes=one.votes,
        seed=one.seed,
        tokens=one.num_tokens,
    )


def num_tokens(usage: schemas.Usage) -> int:
    """Count all tokens of a request, read and written, of both models."""
    models = [usage.generator, *([usage.verifier] if usage.verifier else [])]
    return sum(model.prompt_tokens + model.completion_tokens for model in models)


def _usage(usage: Usage) -> schemas.ModelUsage:
    return schemas.ModelUsage(
        requests=usage.num_requests,
        prompt_tokens=usage.num_prompt_tokens,
        completion_tokens=usage.num_completion_tokens,
    )


def _verifier_usage(solution: Solution) -> schemas.ModelUsage | None:
    return _usage(solution.verifier_usage) if solution.verifier_model is not None else None


def _text(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def _clean(text: str) -> str:
    """Replace what is no Unicode: half a surrogate pair, should a model's tokenizer leave one."""
    return text.encode("utf-8", "replace").decode("utf-8")
