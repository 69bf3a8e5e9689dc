"""What surrounds every request: its id, security headers, the key, the size of the body, and an answer to any error."""

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.solve.access import KeyRing
from services.solve.errors import ErrorType, Refusal, error_response, invalid, logger, own_path
from services.solve.monitor import Monitor

REQUEST_ID_HEADER = "x-request-id"
BODY_SECONDS = 30.0
"""A body that takes longer is refused: whoever sends it, byte by byte and without a key, holds a place of Serve's."""
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Of every response that does not have its own."""

GUARDED_PREFIXES = ("/v1/", "/page/typeset")
"""Where a key is asked for, if there are keys."""


class Envelope:
    """The outermost layer: gives the request an id, and turns what nobody expected into a clean 500."""

    def __init__(self, app: ASGIApp, *, monitor: Monitor) -> None:
        self._app = app
        self._monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = identity_of(scope)
        scope.setdefault("state", {})["request_id"] = identity
        has_begun, began = False, time.monotonic()

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = identity
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                self._monitor.responded(_route(scope), message["status"])
                seconds = round(time.monotonic() - began, 4)
                told = {"request": identity, "path": _route(scope), "status": message["status"], "seconds": seconds}
                logger.info("responded", extra=told)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if has_begun:
                raise
            await error_response(error, scope)(scope, receive, send_with_headers)


def identity_of(scope: Scope) -> str:
    """Return the client's id of the request, where it is one that can be written anywhere, or a new one."""
    given = Headers(scope=scope).get(REQUEST_ID_HEADER)
    return given if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _route(scope: Scope) -> str:
    """Name the route without what a client can put into a path."""
    return str(getattr(scope.get("route"), "path", "other"))


class Gate:
    """Refuses, before a body is read, who has no key, and before it is kept, a body that is too long."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, max_body_bytes: int) -> None:
        self._app = app
        self._keys = keys
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its caller's name, and its body in one piece."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if own_path(scope).startswith(GUARDED_PREFIXES):
                scope["state"]["caller"] = self._keys.caller(Headers(scope=scope).get("authorization"))
            body = await self._read(scope, receive)
        except Refusal as error:
            await error_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and float(announced) > self._max_body_bytes:  # an int has no more than 4,300 digits
            raise self._too_large()
        body = b""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in _parts(receive):
                    body += part
                    if len(body) > self._max_body_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise invalid(f"the body did not come within {BODY_SECONDS:g} s") from None
        return body

    def _too_large(self) -> Refusal:
        return Refusal(ErrorType.TOO_LARGE, f"the body is longer than {self._max_body_bytes:,} bytes")


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(ErrorType.CLIENT_GONE, "the client is gone")
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then what comes after it."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
