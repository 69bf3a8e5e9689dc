"""From every exception to one JSON shape, with nothing internal in it: {"error": {"type", "message", "request_id"}}."""

import json
import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from metamath_ray.errors import ConfigError, EngineError, RequestRejected, RunFailed

RETRY_AFTER_SECONDS = 5
"""What a client waits that found the models away; a replaced replica takes longer, another replica does not."""
MAX_MESSAGE_CHARS = 500
OPENAI_PREFIX = "/v1/chat/"
"""Where OpenAI's clients look: malformed requests are 400 there, and errors have two fields more."""

logger = logging.getLogger("ray.serve.solve")
"""Below Serve's own, so that its lines go where Serve's go, in their format."""


class ErrorType(StrEnum):
    """What went wrong, in the words of OpenAI's API."""

    INVALID_REQUEST = "invalid_request_error"
    AUTHENTICATION = "authentication_error"
    NOT_FOUND = "not_found_error"
    WRONG_METHOD = "method_not_allowed_error"
    TOO_LARGE = "request_too_large"
    RATE_LIMITED = "rate_limit_error"
    OVERLOADED = "overloaded_error"
    UNAVAILABLE = "unavailable_error"
    CLIENT_GONE = "client_gone"
    INTERNAL = "internal_error"


_STATUS = {
    ErrorType.INVALID_REQUEST: 422,
    ErrorType.AUTHENTICATION: 401,
    ErrorType.NOT_FOUND: 404,
    ErrorType.WRONG_METHOD: 405,
    ErrorType.TOO_LARGE: 413,
    ErrorType.RATE_LIMITED: 429,
    ErrorType.OVERLOADED: 503,
    ErrorType.UNAVAILABLE: 503,
    ErrorType.CLIENT_GONE: 499,
    ErrorType.INTERNAL: 500,
}


class Refusal(HTTPException):
    """A request that is not answered as asked: what the client is told, word for word."""

    def __init__(self, kind: ErrorType, message: str, retry_after: int | None = None) -> None:
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        if kind is ErrorType.AUTHENTICATION:
            headers["www-authenticate"] = "Bearer"
        super().__init__(_STATUS[kind], message[:MAX_MESSAGE_CHARS], headers)
        self.kind = kind
        self.retry_after = retry_after


def invalid(message: str) -> Refusal:
    """Refuse a request that asks for what cannot be."""
    return Refusal(ErrorType.INVALID_REQUEST, message)


def refusal(error: Exception, *, request_id: str) -> Refusal:
    """Say what the client is told of an error; what it is not told is logged under the request's id."""
    match error:
        case HTTPException() | RequestValidationError():
            return _of_http(error)
        case ConfigError():
            return invalid(str(error))
        case RequestRejected():
            logger.warning("request %s: rejected by the model: %s", request_id, error, extra={"request": request_id})
            return invalid("the model refuses the question: too long for its context, or not to be read as a prompt")
        case EngineError() | RunFailed():
            logger.warning("request %s: no answer from a model: %s", request_id, error, extra={"request": request_id})
            return Refusal(
                ErrorType.UNAVAILABLE, "the model does not answer at the moment; try again", RETRY_AFTER_SECONDS
            )
        case _:
            logger.error("request %s failed", request_id, exc_info=error, extra={"request": request_id})
            return Refusal(ErrorType.INTERNAL, "internal error; the service's log has it under the request id")


def _of_http(error: HTTPException | RequestValidationError) -> Refusal:
    """Put the framework's own refusals into our words."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestValidationError):
        return invalid(_describe(error))
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return Refusal(ErrorType.NOT_FOUND, "no such path; see /docs")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            refused = Refusal(ErrorType.WRONG_METHOD, "no such method here; see /docs")
            refused.headers = error.headers
            return refused
        case _:
            return invalid("the body cannot be read; send JSON")


def _describe(error: RequestValidationError) -> str:
    """Put what is wrong on one line; of the input, only names of fields are repeated, and those in plain ASCII."""
    found = [(".".join(_plain(str(part)) for part in item["loc"][1:]), item) for item in error.errors()[:5]]
    return "; ".join(f"{place or 'body'}: {item['msg']}" for place, item in found)


def _plain(name: str) -> str:
    """Escape what would end the line or steer a terminal."""
    return name.encode("unicode_escape").decode("ascii")


def error_body(refused: Refusal, *, request_id: str) -> dict[str, Any]:
    """Return the JSON shape of an error."""
    return {"error": {"type": refused.kind.value, "message": refused.detail, "request_id": request_id}}


def own_path(scope: Scope) -> str:
    """Return a request's path without the prefix that the service is mounted under (`route_prefix`)."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def request_id(scope: Scope) -> str:
    """Return the id that the envelope gave the request."""
    return str(scope["state"]["request_id"])


def error_response(error: Exception, scope: Scope) -> Response:
    """Return the response to an error."""
    identity = request_id(scope)
    refused = refusal(error, request_id=identity)
    body, status = error_body(refused, request_id=identity), refused.status_code
    if own_path(scope).startswith(OPENAI_PREFIX):
        body["error"] |= {"param": None, "code": None}
        status = 400 if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
    return JsonResponse(body, status, refused.headers)


async def handle_error(request: Request, error: Exception) -> Response:
    """FastAPI's exception handler."""
    return error_response(error, request.scope)


class JsonResponse(Response):
    """JSON in ASCII: whatever a model wrote, lone surrogates too, is a valid response."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:  # noqa: ANN401
        super().__init__(to_json(content), status, headers)


def to_json(content: Any) -> str:  # noqa: ANN401  (anything that JSON holds)
    """Encode as one line of ASCII."""
    return json.dumps(content, allow_nan=False, separators=(",", ":"))
