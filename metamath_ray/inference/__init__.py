"""Engines that complete prompts and weigh labels, behind protocols."""

from metamath_ray.inference.protocol import (
    CompletionEngine,
    CompletionRequest,
    LabelLogprobs,
    LabelRequest,
    LabelScorer,
)
from metamath_ray.inference.retrying import RetryingEngine, RetryingLabelScorer

__all__ = [
    "CompletionEngine",
    "CompletionRequest",
    "LabelLogprobs",
    "LabelRequest",
    "LabelScorer",
    "RetryingEngine",
    "RetryingLabelScorer",
]
