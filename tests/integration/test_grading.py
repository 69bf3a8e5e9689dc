"""The grader where it works in earnest: off the main thread, inside an async Ray actor."""

import asyncio
import time

import pytest
import ray

from metamath_ray.grading import Verdict, check_canaries, compare, pool
from metamath_ray.grading.limits import COMPARE_SECONDS


@ray.remote(num_cpus=0)
class Grader:
    """Compares in threads, as the bootstrap's workers do."""

    def __init__(self) -> None:
        check_canaries()

    async def compare(self, pairs: list[tuple[str, str]]) -> list[tuple[str, float, int]]:
        return [await self._timed(*pair) for pair in pairs]

    async def _timed(self, first: str, second: str) -> tuple[str, float, int]:
        began = time.monotonic()
        verdict, num_algebra_calls = await asyncio.to_thread(_counted, first, second)
        return verdict.value, time.monotonic() - began, num_algebra_calls


def _counted(first: str, second: str) -> tuple[Verdict, int]:
    """Compare, and say how often this thread asked an algebra worker for it."""
    before = pool.num_algebra_calls()
    return compare(first, second), pool.num_algebra_calls() - before


@pytest.mark.usefixtures("cluster")
def test_algebra_and_bombs_are_graded_in_time_inside_an_async_actor() -> None:
    pairs = [("\\int_0^1 2x\\,dx", "1"), ("x^2 + 2x + 1", "(x+1)^2"), ("9^{9^{9^9}}", "9^{9^9}"), ("(" * 5000, "1")]
    found = ray.get(Grader.remote().compare.remote(pairs))  # type: ignore[attr-defined]
    verdicts = [verdict for verdict, *_ in found]
    assert sum(num_algebra_calls for *_, num_algebra_calls in found) >= 2
    assert verdicts[:2] == [Verdict.EQUAL, Verdict.EQUAL]
    assert Verdict.EQUAL not in verdicts[2:]
    assert max(seconds for _, seconds, _ in found) <= COMPARE_SECONDS
