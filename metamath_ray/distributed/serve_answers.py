"""What a replica answers, or why it did not: records and Serve's errors in our own terms."""

from typing import Any

from ray.exceptions import RayTaskError
from ray.serve.exceptions import BackPressureError

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected
from metamath_ray.inference.openai_compatible import SERVER_AT_FAULT

DEPLOYMENT_NAME = "CompletionServer:generator"
"""As `ray.serve.llm` composes it: the server's class, then the name we give."""


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


def _first_line(error: Exception) -> str:
    """Name what went wrong on the replica, without its traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0][:300] if text else ''}"
