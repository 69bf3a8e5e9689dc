"""Work that ends when its client goes: no model computes for nobody."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from services.solve.errors import ErrorType, Refusal

Result = TypeVar("Result")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work; cancel it, and wait for its end, as soon as the client disconnects or this call is cancelled.

    Args:
        receive: The request's, its body already read.

    Raises:
        Refusal: The client is gone (499, which nobody reads).
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Refusal(ErrorType.CLIENT_GONE, "the client is gone")
    finally:
        for ending in (task, gone):  # once each: a second cancellation would interrupt how the first is dealt with
            ending.cancel()
        await asyncio.wait((task, gone))
        for ended in (task, gone):
            _hear(ended)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; what it says at its end interests nobody any more."""
    task.cancel()
    await asyncio.wait((task,))
    _hear(task)


def _hear(ended: asyncio.Future[Any]) -> None:
    """Take a task's error, which would be reported as never heard."""
    if not ended.cancelled():
        ended.exception()
