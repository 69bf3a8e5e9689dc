"""Engines that answer by script, for tests of what must happen when an engine lies, stalls or dies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf, log

from metamath_ray.errors import EngineError
from metamath_ray.inference.protocol import CompletionRequest, LabelLogprobs, LabelRequest
from metamath_ray.types import Completion, FinishReason

Reply = str | Completion | EngineError
"""A text that ends by itself, a whole completion, or an error to raise."""


class _Counted:
    """How many calls are open now, and were at most.

    Attributes:
        num_open: Calls that were neither answered nor cancelled.
    """

    def __init__(self) -> None:
        self.num_open = 0
        self.most_open = 0

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return "scripted"

    @asynccontextmanager
    async def _open(self, delay_seconds: float) -> AsyncIterator[None]:
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            await asyncio.sleep(delay_seconds)
            yield
        finally:
            self.num_open -= 1


class ScriptedEngine(_Counted):
    """Asks a function what to reply; counts what it was asked."""

    def __init__(
        self,
        script: Callable[[CompletionRequest], Reply],
        *,
        delay_seconds: float | Callable[[CompletionRequest], float] = 0.0,
    ) -> None:
        super().__init__()
        self._script = script
        self._delay_seconds = delay_seconds
        self.requests: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Reply by the script, after the delay."""
        self.requests.append(request)
        delay = self._delay_seconds
        async with self._open(delay(request) if callable(delay) else delay):
            return self._completion(request, self._script(request))

    def _completion(self, request: CompletionRequest, reply: Reply) -> Completion:
        if isinstance(reply, EngineError):
            raise reply
        if isinstance(reply, Completion):
            return reply
        return Completion(
            text=reply,
            finish_reason=FinishReason.STOP,
            num_prompt_tokens=len(request.prompt.token_ids or ()),
            num_completion_tokens=len(reply.split()),
            seed=request.seed,
            model=self.model,
        )


class ScriptedLabelScorer(_Counted):
    """Asks a function for p(correct), or for an error to raise; the two labels share the whole probability."""

    def __init__(self, script: Callable[[LabelRequest], float | EngineError], *, delay_seconds: float = 0.0) -> None:
        super().__init__()
        self._script = script
        self._delay_seconds = delay_seconds
        self.requests: list[LabelRequest] = []

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        """Reply by the script, after the delay."""
        self.requests.append(request)
        async with self._open(self._delay_seconds):
            reply = self._script(request)
            if isinstance(reply, EngineError):
                raise reply
            correct, incorrect = (log(share) if share > 0 else -inf for share in (reply, 1 - reply))
            return LabelLogprobs(correct=correct, incorrect=incorrect, num_prompt_tokens=len(request.token_ids))
