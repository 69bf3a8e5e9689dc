"""An engine that answers by script, for tests of what must happen when an engine lies, stalls or dies."""

import asyncio
from collections.abc import Callable

from metamath_ray.errors import EngineError
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.types import Completion, FinishReason

Reply = str | Completion | EngineError
"""A text that ends by itself, a whole completion, or an error to raise."""


class ScriptedEngine:
    """Asks a function what to reply; counts what it was asked."""

    def __init__(self, script: Callable[[CompletionRequest], Reply], *, delay_seconds: float = 0.0) -> None:
        self._script = script
        self._delay_seconds = delay_seconds
        self.requests: list[CompletionRequest] = []
        self.num_open = 0
        self.most_open = 0

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return "scripted"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Reply by the script, after the delay."""
        self.requests.append(request)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            await asyncio.sleep(self._delay_seconds)
            return self._completion(request, self._script(request))
        finally:
            self.num_open -= 1

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
