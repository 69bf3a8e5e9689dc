"""The operator's limits: what a request may ask for, checked, and written into the OpenAPI schema."""

from collections.abc import Sequence
from typing import Any

from metamath_ray.config import SolveConfig
from metamath_ray.reranking import Strategy
from services.solve.errors import invalid
from services.solve.schemas import ChooseBody, SolveKnobs

SOLVING_REQUESTS = ("SolveBody", "BatchBody", "ChatBody")
"""Schemas of the requests that have models asked."""


def default_strategy(config: SolveConfig) -> Strategy:
    """Return how a request is answered that does not say."""
    return Strategy.MAJORITY_VOTE if config.verifier is None else Strategy.WEIGHTED_VOTE


def available_strategies(config: SolveConfig) -> list[Strategy]:
    """Return the strategies that the service's models can serve."""
    return [strategy for strategy in Strategy if config.verifier is not None or not strategy.needs_scores]


def check_knobs(knobs: SolveKnobs, config: SolveConfig) -> None:
    """Hold a request's settings against the operator's limits.

    Raises:
        Refusal: One is exceeded, or there is no verifier for the strategy.
    """
    for name, most in _largest_numbers(config).items():
        asked = getattr(knobs, name)
        if asked is not None and asked > most:
            raise invalid(f"{name}: this service allows {most:g} at most")
    if knobs.strategy is not None and knobs.strategy not in available_strategies(config):
        raise invalid(f"strategy: {knobs.strategy} needs a verifier, and this service has none; use majority_vote")


def check_questions(questions: Sequence[str], config: SolveConfig) -> None:
    """Hold questions against the operator's limits.

    Raises:
        Refusal: There are too many, or one is too long.
    """
    lengths = [len(question) for question in questions]
    if len(lengths) > config.limits.max_batch:
        raise invalid(f"questions: this service takes {config.limits.max_batch} at once at most")
    if max(lengths) > config.limits.max_question_chars:
        raise invalid(
            f"question: longer than the {config.limits.max_question_chars:,} characters that are allowed here"
        )


def check_candidates(body: ChooseBody, config: SolveConfig) -> None:
    """Hold the number of answers to choose from against the operator's limits.

    Raises:
        Refusal: There are too many.
    """
    if len(body.candidates) > config.limits.max_samples:
        raise invalid(f"candidates: this service takes {config.limits.max_samples} at most")


def _largest_numbers(config: SolveConfig) -> dict[str, float]:
    limits = config.limits
    return {
        "num_samples": limits.max_samples,
        "max_tokens": limits.max_tokens,
        "time_limit_seconds": limits.max_time_limit_seconds,
    }


def write_limits(schema: dict[str, Any], config: SolveConfig) -> None:
    """Write the limits into an OpenAPI schema, so that what it allows is what is accepted."""
    limits = config.limits
    longest, most = limits.max_question_chars, min(limits.max_batch, limits.max_running + limits.max_queued)
    strategies = [str(strategy) for strategy in available_strategies(config)]
    schemas = schema["components"]["schemas"]
    for name in SOLVING_REQUESTS:
        properties = schemas[name]["properties"]
        for field, largest in _largest_numbers(config).items():
            _restrict(properties[field], {"maximum": largest})
        if "max_completion_tokens" in properties:
            _restrict(properties["max_completion_tokens"], {"maximum": limits.max_tokens})
        _restrict(properties["strategy"], {"type": "string", "enum": strategies})
    _restrict(schemas["SolveBody"]["properties"]["question"], {"maxLength": longest})
    _restrict(schemas["BatchBody"]["properties"]["questions"], {"maxItems": most})
    _restrict(schemas["BatchBody"]["properties"]["questions"]["items"], {"maxLength": longest})
    _restrict(schemas["ChooseBody"]["properties"]["candidates"], {"maxItems": limits.max_samples})


def _restrict(schema: dict[str, Any], limit: dict[str, Any]) -> None:
    """Add a limit to a field, or to the part of it that is not null."""
    target = schema["anyOf"][0] if "anyOf" in schema else schema
    target.pop("$ref", None)
    target.update(limit)
