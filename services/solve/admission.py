"""A bounded queue in front of the solver: what cannot be served in time is refused at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import ceil

from metamath_ray.config import LimitsConfig
from services.solve.errors import ErrorType, Refusal
from services.solve.monitor import Monitor

WEIGHT_OF_NEWEST = 0.2
"""Of the last question's time, in the running mean that Retry-After is made of."""
LONGEST_RETRY_AFTER_SECONDS = 60


class Admission:
    """Lets `max_running` questions in at once and `max_queued` wait, first come, first served."""

    def __init__(self, limits: LimitsConfig, *, monitor: Monitor, clock: Callable[[], float]) -> None:
        self._slots = asyncio.Semaphore(limits.max_running)
        self._limits = limits
        self._monitor = monitor
        self._clock = clock
        self._mean_seconds = 1.0
        self.num_running = 0
        self.num_waiting = 0

    def require(self, num_questions: int) -> None:
        """Refuse a call that does not fit as a whole.

        Raises:
            Refusal: 503, with the time in which about as many questions will have been answered.
        """
        places = self._limits.max_running + self._limits.max_queued
        if num_questions > places:
            raise Refusal(ErrorType.INVALID_REQUEST, f"questions: the service holds {places} at once; send fewer")
        if self.num_running + self.num_waiting + num_questions > places:
            raise self._overloaded("too many questions at the moment; try again")

    @asynccontextmanager
    async def slot(self, *, longest_wait_seconds: float) -> AsyncIterator[float]:
        """Wait for a place, and hold it; yields how long that took in seconds.

        Raises:
            Refusal: 503: the queue is full, or no place came free in time.
        """
        self.require(1)
        arrived = self._clock()
        await self._wait(longest_wait_seconds)
        self.num_running += 1
        self._changed()
        began = self._clock()
        try:
            yield began - arrived
        finally:
            self._mean_seconds += WEIGHT_OF_NEWEST * (self._clock() - began - self._mean_seconds)
            self.num_running -= 1
            self._slots.release()
            self._changed()

    async def _wait(self, longest_seconds: float) -> None:
        self.num_waiting += 1
        self._changed()
        try:
            async with asyncio.timeout(longest_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise self._overloaded("the question's time was over before its turn came; try again") from None
        finally:
            self.num_waiting -= 1
            self._changed()

    def _overloaded(self, message: str) -> Refusal:
        seconds = self._mean_seconds * (1 + self.num_waiting / self._limits.max_running)
        return Refusal(ErrorType.OVERLOADED, message, min(LONGEST_RETRY_AFTER_SECONDS, max(1, ceil(seconds))))

    def _changed(self) -> None:
        self._monitor.load(num_running=self.num_running, num_waiting=self.num_waiting)
