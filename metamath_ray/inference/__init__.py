"""Engines that complete prompts, behind one protocol."""

from metamath_ray.inference.protocol import CompletionEngine, CompletionRequest
from metamath_ray.inference.retrying import RetryingEngine

__all__ = ["CompletionEngine", "CompletionRequest", "RetryingEngine"]
