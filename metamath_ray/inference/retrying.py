"""Patience with an engine that is away: bounded back-off, and a judgement of who is at fault in the end."""

import asyncio
import random
import time

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.inference.protocol import CompletionEngine, CompletionRequest
from metamath_ray.types import Completion

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0
SUSPECT_AFTER_ATTEMPTS = 5
"""A request that failed this often while others were answered is itself at fault."""


class RetryingEngine:
    """Wraps an engine; tries a request again while the engine is away.

    A dead engine and a request that kills engines look alike from one request. They differ in the others: when those
    are answered meanwhile, the engine lives and the request is rejected; when nothing is answered for the whole
    budget, the run ends.
    """

    def __init__(self, engine: CompletionEngine, *, budget_seconds: float) -> None:
        self._engine = engine
        self._budget_seconds = budget_seconds
        self._last_answer = float("-inf")

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._engine.model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion, with patience.

        Raises:
            RequestRejected: The request is at fault.
            AccessDenied: The credentials are wrong.
            RunFailed: The engine stayed away for the whole budget.
        """
        began, failures = time.monotonic(), 0
        while True:
            try:
                completion = await self._engine.complete(request)
            except EngineUnavailable as error:
                if not isinstance(error, BackPressure):
                    failures += 1
                self._judge(error, failures=failures, began=began)
                await asyncio.sleep(_wait_seconds(failures))
            else:
                self._last_answer = time.monotonic()
                return completion

    def _judge(self, error: EngineUnavailable, *, failures: int, began: float) -> None:
        others_are_answered = self._last_answer > began
        if failures >= SUSPECT_AFTER_ATTEMPTS and others_are_answered:
            raise RequestRejected(f"failed {failures} times while other requests were answered: {error}") from error
        silent_since = max(began, self._last_answer)
        if time.monotonic() - silent_since >= self._budget_seconds:
            raise RunFailed(
                f"the engine gave no answer for {self._budget_seconds:.0f} s ({error}); "
                "look at its log, then start again: what is done is kept"
            ) from error


def _wait_seconds(failures: int) -> float:
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures, 10))
    return random.uniform(longest / 2, longest)
