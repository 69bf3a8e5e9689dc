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

    async def compare(self, pairs: list[tuple[str, str]]) -> tuple[list[tuple[str, float]], int]:
        before = pool.num_algebra_calls()
        found = [await self._timed(*pair) for pair in pairs]
        return found, pool.num_algebra_calls() - before

    async def _timed(self, first: str, second: str) -> tuple[str, float]:
        began = time.monotonic()
        verdict = await asyncio.to_thread(compare, first, second)
        return verdict.value, time.monotonic() - began


@pytest.mark.usefixtures("cluster")
def test_algebra_and_bombs_are_graded_in_time_inside_an_async_actor() -> None:
    pairs = [("\\int_0^1 2x\\,dx", "1"), ("x^2 + 2x + 1", "(x+1)^2"), ("9^{9^{9^9}}", "9^{9^9}"), ("(" * 5000, "1")]
    found, num_algebra_calls = ray.get(Grader.remote().compare.remote(pairs))  # type: ignore[attr-defined]
    verdicts = [verdict for verdict, _ in found]
    assert num_algebra_calls >= 2
    assert verdicts[:2] == [Verdict.EQUAL, Verdict.EQUAL]
    assert Verdict.EQUAL not in verdicts[2:]
    assert max(seconds for _, seconds in found) <= COMPARE_SECONDS
