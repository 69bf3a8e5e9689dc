"""The time of one compare, kept per thread and per task: everything that may take long looks at it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from metamath_ray.grading.limits import ALGEBRA_SECONDS

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


def start_clock(seconds: float = ALGEBRA_SECONDS) -> None:
    """Begin the time of one compare; every question until the next call shares it."""
    _deadline.set(time.monotonic() + seconds)


def deadline() -> float:
    """Return when the time of the compare that runs here is over, on the monotonic clock."""
    return _deadline.get()


def is_over() -> bool:
    """Whether the time of the compare that runs here is over."""
    return time.monotonic() > _deadline.get()


@contextmanager
def paused() -> Iterator[None]:
    """Leave out of the time of the compare what happens inside."""
    begin = time.monotonic()
    try:
        yield
    finally:
        _deadline.set(_deadline.get() + time.monotonic() - begin)
