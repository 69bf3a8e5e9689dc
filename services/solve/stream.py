"""Server-sent events: one event a line of JSON, comments while nothing happens, an error as the last event."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.solve.connection import cancelled, while_connected
from services.solve.errors import ErrorType, Refusal, error_body, refusal, request_id, to_json

HEARTBEAT_SECONDS = 15.0
"""Comments keep proxies from closing a quiet connection."""
HEARTBEAT = b": waiting\n\n"

Item = TypeVar("Item")


def frame(data: str, *, event: str | None = None) -> bytes:
    """Frame one event; its data is one line."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def error_frame(error: Exception, *, identity: str) -> bytes:
    """Frame an error that came after the response had begun."""
    refused = refusal(error, request_id=identity)
    return frame(to_json(error_body(refused, request_id=identity)), event="error")


class EventStream(Response):
    """Sends what a generator yields, as it comes.

    The response begins with the first event, so that an error before it is still an ordinary response with its status.
    When the client goes, the generator is closed, which ends its work.
    """

    media_type = "text/event-stream"

    def __init__(self, make_frames: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._make_frames = make_frames
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; stop when the client goes."""
        try:
            await while_connected(receive, self._send_all(scope, send))
        except Refusal as refused:
            if refused.kind is not ErrorType.CLIENT_GONE or not self._has_begun:
                raise

    async def _send_all(self, scope: Scope, send: Send) -> None:
        try:
            async with aclosing(with_heartbeats(self._make_frames())) as frames:
                async for chunk in frames:
                    if not self._has_begun:
                        self._has_begun = True
                        await self._begin(send)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Exception as error:
            if not self._has_begun:
                raise
            last = error_frame(error, identity=request_id(scope))
            await send({"type": "http.response.body", "body": last, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def with_heartbeats(frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the frames, and a comment whenever none came for a while."""
    async with aclosing(frames):
        while True:
            upcoming = asyncio.ensure_future(anext(frames, None))
            try:
                while not (await asyncio.wait((upcoming,), timeout=HEARTBEAT_SECONDS))[0]:
                    yield HEARTBEAT
            except BaseException:
                await cancelled(upcoming)
                raise
            chunk = upcoming.result()
            if chunk is None:
                return
            yield chunk
