"""A Ray Serve deployment as a `CompletionEngine`."""

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected
from metamath_ray.inference.openai_compatible import SERVER_AT_FAULT, finish_reason
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.types import Completion

DEPLOYMENT_NAME = "CompletionServer:generator"
"""As `ray.serve.llm` composes it: the server's class, then the name we give."""


class ServeEngine:
    """Calls `CompletionServer.complete` over a deployment handle, which balances over the replicas."""

    def __init__(
        self, *, application: str, model: str, timeout_seconds: float, max_model_len: int | None = None
    ) -> None:
        self._model = model
        self._max_model_len = max_model_len
        self._timeout_seconds = timeout_seconds
        self._handle = serve.get_deployment_handle(DEPLOYMENT_NAME, application)

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion; see `CompletionEngine.complete` for the errors."""
        if request.prompt.token_ids is None:
            raise RequestRejected("the Serve engine takes token ids, and this prompt was rendered as chat messages")
        answer = await self._call(request, list(request.prompt.token_ids))
        if "code" in answer:
            kind = EngineUnavailable if answer["code"] >= SERVER_AT_FAULT else RequestRejected
            raise kind(f"{answer['code']}: {answer['message'][:300]}")
        return Completion(
            text=answer["text"],
            finish_reason=finish_reason(answer["finish_reason"]),
            num_prompt_tokens=answer["num_prompt_tokens"],
            num_completion_tokens=answer["num_completion_tokens"],
            seed=request.seed,
            model=self._model,
        )

    def _max_tokens(self, request: CompletionRequest, num_prompt_tokens: int) -> int:
        """Return the wanted length, or what the model's context leaves of it: such a completion ends as truncated."""
        if self._max_model_len is None:
            return request.sampling.max_tokens
        room = self._max_model_len - num_prompt_tokens
        if room < 1:
            raise RequestRejected(
                f"the prompt has {num_prompt_tokens} tokens, and the model holds {self._max_model_len} with the answer"
            )
        return min(request.sampling.max_tokens, room)

    async def _call(self, request: CompletionRequest, token_ids: list[int]) -> dict[str, Any]:
        response = self._handle.complete.remote(
            prompt_token_ids=token_ids,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=self._max_tokens(request, len(token_ids)),
            stop=list(request.sampling.stop),
            seed=request.seed,
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer: dict[str, Any] = await response
        except BackPressureError as error:
            raise BackPressure(str(error)) from error
        except TimeoutError as error:
            response.cancel()
            raise EngineUnavailable(f"no answer within {self._timeout_seconds:.0f} s") from error
        except (RayError, RayServeException) as error:
            raise EngineUnavailable(_first_line(error)) from error
        return answer


def _first_line(error: Exception) -> str:
    """Name what went wrong on the replica, without its traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0][:300] if text else ''}"
