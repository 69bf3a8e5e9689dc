"""Patience with an engine that is away: bounded back-off, and a judgement of who is at fault in the end."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.inference.protocol import (
    CompletionEngine,
    CompletionRequest,
    LabelLogprobs,
    LabelRequest,
    LabelScorer,
)
from metamath_ray.types import Completion

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0
SUSPECT_AFTER_FAILURES = 5
SUSPECT_AFTER_SECONDS = 60.0
"""A request that failed so often and so long, others being answered between its failures, is itself at fault. The time
is longer than a dead replica stays in service until its health checks fail."""

_Answer = TypeVar("_Answer")
_Exhausted = type[RunFailed] | type[EngineUnavailable]


@dataclass
class _Trouble:
    """What one request has been through."""

    began: float
    num_attempts: int = 0
    num_failures: int = 0
    last_failure: float = float("inf")


class _Patience:
    """What the requests to one engine share.

    A dead engine and a request that kills engines look alike from one request. They differ in the others: when those
    are answered between its failures, the engine lives and the request is rejected; when nothing is answered for the
    whole budget, it is given up.
    """

    def __init__(self, budget_seconds: float, exhausted: _Exhausted) -> None:
        self._budget_seconds = budget_seconds
        self._exhausted = exhausted
        self._last_answer = float("-inf")

    async def ask(self, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Try until there is an answer, or a judgement.

        Raises:
            RequestRejected: The request is at fault.
            AccessDenied: The credentials are wrong.
            RunFailed | EngineUnavailable: As chosen: the engine stayed away for the whole budget.
        """
        trouble = _Trouble(began=time.monotonic())
        while True:
            try:
                answer = await attempt()
            except EngineUnavailable as error:
                self._judge(error, trouble)
                await asyncio.sleep(_wait_seconds(trouble.num_attempts))
            else:
                self._last_answer = time.monotonic()
                return answer

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
            advice = "look at its log"
            if self._exhausted is RunFailed:
                advice += ", then start again: what is done is kept"
            raise self._exhausted(
                f"the engine gave no answer for {self._budget_seconds:.0f} s ({error}); {advice}"
            ) from error


class RetryingEngine:
    """Wraps an engine; tries a request again while the engine is away."""

    def __init__(self, engine: CompletionEngine, *, budget_seconds: float, exhausted: _Exhausted = RunFailed) -> None:
        """Wrap an engine.

        Args:
            engine: Whom to ask.
            budget_seconds: How long it may give no answer to anybody: long in a run, short behind a service.
            exhausted: What is raised then: a run ends, a service refuses the request and goes on.
        """
        self._engine = engine
        self._patience = _Patience(budget_seconds, exhausted)

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._engine.model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion, with patience.

        Raises:
            RequestRejected: The request is at fault.
            AccessDenied: The credentials are wrong.
            RunFailed | EngineUnavailable: As chosen: the engine stayed away for the whole budget.
        """
        return await self._patience.ask(lambda: self._engine.complete(request))


class RetryingLabelScorer:
    """Wraps a label scorer in the same way."""

    def __init__(self, scorer: LabelScorer, *, budget_seconds: float, exhausted: _Exhausted = RunFailed) -> None:
        self._scorer = scorer
        self._patience = _Patience(budget_seconds, exhausted)

    @property
    def model(self) -> str:
        """Name of the model that judges."""
        return self._scorer.model

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        """Weigh the two labels, with patience; see `RetryingEngine.complete` for the errors."""
        return await self._patience.ask(lambda: self._scorer.label_logprobs(request))


def _wait_seconds(num_attempts: int) -> float:
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(num_attempts, 10))
    return random.uniform(longest / 2, longest)
