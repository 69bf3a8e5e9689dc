"""In front of Ray Serve's proxy: when a replica dies with a request in hand, a clean 503 and not Serve's raw 500.

Serve builds its proxies with the middlewares that a variable names, which has to be in the environment in which Ray is
started (`metamath-ray serve` sets it):

    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=services.solve.proxy:middlewares
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.solve.envelope import REQUEST_ID_HEADER, identity_of
from services.solve.errors import RETRY_AFTER_SECONDS, ErrorType, JsonResponse, Refusal, error_body

CALLBACK_VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
CALLBACK = f"{__name__}:middlewares"
SERVER_AT_FAULT = 500


def middlewares() -> list[Middleware]:
    """Return what Serve's proxies are wrapped in."""
    return [Middleware(CleanFailures)]


class CleanFailures:
    """Answers in Serve's place where it has no response, or one of its own that is no JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        MutableHeaders(scope=scope)[REQUEST_ID_HEADER] = identity_of(scope)  # Serve echoes what it finds there
        has_begun = False

        async def send_clean(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or not _is_raw_failure(message)
            if has_begun:
                await send(message)

        await self._app(scope, receive, send_clean)
        if not has_begun:
            await _unavailable(scope)(scope, receive, send)


def _is_raw_failure(message: Message) -> bool:
    """Whether this begins, or goes on with, a failure that is not the service's own."""
    if message["type"] != "http.response.start":
        return True
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] >= SERVER_AT_FAULT and not kind.startswith("application/json")


def _unavailable(scope: Scope) -> JsonResponse:
    """Return the 503 under the request's id."""
    identity = identity_of(scope)
    refused = Refusal(
        ErrorType.UNAVAILABLE, "the service is restarting a part of itself; try again", RETRY_AFTER_SECONDS
    )
    headers = {**(refused.headers or {}), REQUEST_ID_HEADER: identity}
    return JsonResponse(error_body(refused, request_id=identity), refused.status_code, headers)
