"""Patience with an engine that is away: bounded back-off, and a judgement of who is at fault in the end."""

import asyncio
import random
import time
from dataclasses import dataclass

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.inference.protocol import CompletionEngine, CompletionRequest
from metamath_ray.types import Completion

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0
SUSPECT_AFTER_FAILURES = 5
SUSPECT_AFTER_SECONDS = 60.0
"""A request that failed so often and so long, others being answered between its failures, is itself at fault. The time
is longer than a dead replica stays in service until its health checks fail."""


@dataclass
class _Trouble:
    """What one request has been through."""

    began: float
    num_attempts: int = 0
    num_failures: int = 0
    last_failure: float = float("inf")


class RetryingEngine:
    """Wraps an engine; tries a request again while the engine is away.

    A dead engine and a request that kills engines look alike from one request. They differ in the others: when those
    are answered between its failures, the engine lives and the request is rejected; when nothing is answered for the
    whole budget, the run ends.
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
        trouble = _Trouble(began=time.monotonic())
        while True:
            try:
                completion = await self._engine.complete(request)
            except EngineUnavailable as error:
                self._judge(error, trouble)
                await asyncio.sleep(_wait_seconds(trouble.num_attempts))
            else:
                self._last_answer = time.monotonic()
                return completion

    def _judge(self, error: EngineUnavailable, trouble: _Trouble) -> None:
        now = time.monotonic()
        trouble.num_attempts += 1
        if not isinstance(error, BackPressure):
            trouble.num_failures += self._last_answer > trouble.last_failure
            trouble.last_failure = now
        is_old = now - trouble.began >= SUSPECT_AFTER_SECONDS
        if trouble.num_failures >= SUSPECT_AFTER_FAILURES and is_old:
            raise RequestRejected(f"failed {trouble.num_attempts} times while others were answered: {error}") from error
        if now - max(trouble.began, self._last_answer) >= self._budget_seconds:
            raise RunFailed(
                f"the engine gave no answer for {self._budget_seconds:.0f} s ({error}); "
                "look at its log, then start again: what is done is kept"
            ) from error


def _wait_seconds(num_attempts: int) -> float:
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(num_attempts, 10))
    return random.uniform(longest / 2, longest)
