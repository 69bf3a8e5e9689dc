"""A Ray Serve deployment as a `CompletionEngine`, and as a `LabelScorer`."""

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected
from metamath_ray.inference.openai_compatible import SERVER_AT_FAULT, finish_reason
from metamath_ray.inference.protocol import CompletionRequest, LabelLogprobs, LabelRequest
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
        response = self._handle.complete.remote(**self._asked(request), seed=request.seed)
        return self._completion(request, await _answer(response, self._timeout_seconds))

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        """Return what all samples of a prompt have in common."""
        if request.prompt.token_ids is None:
            raise RequestRejected("the Serve engine takes token ids, and this prompt was rendered as chat messages")
        token_ids = list(request.prompt.token_ids)
        return {
            "prompt_token_ids": token_ids,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": self._max_tokens(request, len(token_ids)),
            "stop": list(request.sampling.stop),
        }

    def _completion(self, request: CompletionRequest, answer: dict[str, Any]) -> Completion:
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


class ServeLabelScorer:
    """Calls `CompletionServer.label_logprobs` over a handle of the verifier's deployment.

    The verifier may be the generator's own deployment, where one model is both.
    """

    def __init__(
        self, *, application: str, model: str, timeout_seconds: float, deployment: str = DEPLOYMENT_NAME
    ) -> None:
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._handle = serve.get_deployment_handle(deployment, application)

    @property
    def model(self) -> str:
        """Name of the model that judges."""
        return self._model

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        """Weigh the two labels; see `CompletionEngine.complete` for the errors."""
        response = self._handle.label_logprobs.remote(
            prompt_token_ids=list(request.token_ids), label_token_ids=list(request.label_token_ids)
        )
        answer = await _answer(response, self._timeout_seconds)
        return LabelLogprobs(
            correct=answer["correct"], incorrect=answer["incorrect"], num_prompt_tokens=answer["num_prompt_tokens"]
        )


async def _answer(response: Any, timeout_seconds: float) -> dict[str, Any]:  # noqa: ANN401
    """Await what a replica answers; who stops waiting cancels the call, and so what vLLM does for it.

    Raises:
        RequestRejected: The engine refused the request.
        EngineUnavailable: It is at fault, or did not answer in time.
        BackPressure: It is full.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            answer: dict[str, Any] = await response
    except TimeoutError as error:
        response.cancel()
        raise EngineUnavailable(f"no answer within {timeout_seconds:.0f} s") from error
    except asyncio.CancelledError as error:
        response.cancel()
        if _is_cancelled():
            raise
        raise EngineUnavailable("the replica cancelled the call") from error
    except (RayError, RayServeException) as error:
        raise unavailable(error) from error
    return accepted(answer)


def accepted(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what a replica answered.

    Raises:
        RequestRejected: It refused the request.
        EngineUnavailable: Its engine failed.
    """
    if "code" in answer:
        kind = EngineUnavailable if answer["code"] >= SERVER_AT_FAULT else RequestRejected
        raise kind(f"{answer['code']}: {answer['message'][:300]}")
    return answer


def unavailable(error: Exception) -> EngineUnavailable:
    """Say what kept a call from being answered."""
    return BackPressure(str(error)) if isinstance(error, BackPressureError) else EngineUnavailable(_first_line(error))


def _is_cancelled() -> bool:
    """Whether somebody cancelled us; Serve also raises `CancelledError` where a replica gave the call up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first_line(error: Exception) -> str:
    """Name what went wrong on the replica, without its traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0][:300] if text else ''}"
