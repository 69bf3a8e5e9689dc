"""Who is told what the service does: metrics under Ray Serve, nobody in tests."""

from typing import Protocol

from metamath_ray.solving import Solution


class Monitor(Protocol):
    """Told of requests, answers and load."""

    def responded(self, route: str, status: int) -> None:
        """A response began; the route is the path's template, or "other"."""

    def solved(self, solution: Solution, *, queue_seconds: float) -> None:
        """A question was answered."""

    def load(self, *, num_running: int, num_waiting: int) -> None:
        """Questions began, ended or arrived."""


class Silent:
    """Tells nobody."""

    def responded(self, route: str, status: int) -> None:
        """Say nothing."""

    def solved(self, solution: Solution, *, queue_seconds: float) -> None:
        """Say nothing."""

    def load(self, *, num_running: int, num_waiting: int) -> None:
        """Say nothing."""
