"""A Ray Serve deployment as a `LabelScorer`."""

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from metamath_ray.distributed.serve_answers import DEPLOYMENT_NAME, accepted, unavailable
from metamath_ray.errors import EngineUnavailable
from metamath_ray.inference.protocol import LabelLogprobs, LabelRequest


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


def _is_cancelled() -> bool:
    """Whether somebody cancelled us; Serve also raises `CancelledError` where a replica gave the call up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
