"""The grader where it works in earnest: off the main thread, inside an async Ray actor."""

import asyncio
import time

import pytest
import ray

from metamath_ray.grading import Verdict, compare

MAX_SECONDS = 10.0
"""Tells a comparison that is stopped (COMPARE_SECONDS, 2 s) from one that hangs, on cores shared with a whole cluster;
how sharp the bound is on a quiet machine, benchmarks/grading.py measures."""


@ray.remote(num_cpus=0)
class Grader:
    """Compares in threads, as the bootstrap's workers do."""

    async def compare(self, pairs: list[tuple[str, str]]) -> list[tuple[str, float]]:
        compare("\\sqrt{8}", "2\\sqrt{2}")  # starts what algebra needs
        return [await self._timed(*pair) for pair in pairs]

    async def _timed(self, first: str, second: str) -> tuple[str, float]:
        began = time.monotonic()
        verdict = await asyncio.to_thread(compare, first, second)
        return verdict.value, time.monotonic() - began


@pytest.mark.usefixtures("cluster")
def test_algebra_and_bombs_are_stopped_inside_an_async_actor() -> None:
    pairs = [("\\frac{\\pi}{2}", "pi/2"), ("x^2 + 2x + 1", "(x+1)^2"), ("9^{9^{9^9}}", "9^{9^9}"), ("(" * 5000, "1")]
    found = ray.get(Grader.remote().compare.remote(pairs))  # type: ignore[attr-defined]
    verdicts = [verdict for verdict, _ in found]
    assert verdicts[:2] == [Verdict.EQUAL, Verdict.EQUAL]
    assert Verdict.EQUAL not in verdicts[2:]
    assert max(seconds for _, seconds in found) <= MAX_SECONDS
