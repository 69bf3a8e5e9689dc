import asyncio
import math
import time

import pytest

from metamath_ray.errors import AccessDenied, BackPressure, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.inference import CompletionRequest, LabelRequest, RetryingEngine, RetryingLabelScorer, retrying
from metamath_ray.inference.scripted import Reply, ScriptedEngine, ScriptedLabelScorer
from metamath_ray.types import RenderedPrompt, SamplingParameters


def request(seed: int = 0) -> CompletionRequest:
    return CompletionRequest(prompt=RenderedPrompt(token_ids=(1, 2)), sampling=SamplingParameters(), seed=seed)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(retrying, "LONGEST_WAIT_SECONDS", 0.002)
    monkeypatch.setattr(retrying, "SUSPECT_AFTER_SECONDS", 0.02)


async def test_an_engine_that_comes_back_is_waited_for() -> None:
    replies: list[Reply] = [EngineUnavailable("dead"), BackPressure("full"), "ok"]
    engine = RetryingEngine(ScriptedEngine(lambda _: replies.pop(0)), budget_seconds=30)
    assert (await engine.complete(request())).text == "ok"


@pytest.mark.parametrize("error", [RequestRejected("too long"), AccessDenied("wrong key")])
async def test_what_no_retry_helps_is_not_retried(error: RequestRejected | AccessDenied) -> None:
    scripted = ScriptedEngine(lambda _: error)
    with pytest.raises(type(error)):
        await RetryingEngine(scripted, budget_seconds=30).complete(request())
    assert len(scripted.requests) == 1


async def test_an_engine_that_stays_away_ends_the_run() -> None:
    engine = RetryingEngine(ScriptedEngine(lambda _: EngineUnavailable("dead")), budget_seconds=0.05)
    with pytest.raises(RunFailed, match="no answer for 0 s"):
        await engine.complete(request())


async def test_a_request_that_kills_a_living_engine_is_itself_at_fault() -> None:
    def script(asked: CompletionRequest) -> Reply:
        return EngineUnavailable("boom") if asked.seed == 13 else "ok"

    engine = RetryingEngine(ScriptedEngine(script), budget_seconds=30)

    async def others() -> None:
        for seed in range(200):
            await engine.complete(request(100 + seed))
            await asyncio.sleep(0.001)

    background = asyncio.create_task(others())
    with pytest.raises(RequestRejected, match="while others were answered"):
        await engine.complete(request(13))
    await background


async def test_a_full_engine_is_never_held_against_the_request() -> None:
    remaining = [BackPressure("full")] * 20

    def script(_: CompletionRequest) -> Reply:
        return remaining.pop() if remaining else "ok"

    assert (await RetryingEngine(ScriptedEngine(script), budget_seconds=30).complete(request())).text == "ok"


async def test_an_engine_that_dies_and_comes_back_costs_no_request() -> None:
    born = time.monotonic()

    def script(_: CompletionRequest) -> Reply:
        dead = 0.05 < time.monotonic() - born < 0.5
        return EngineUnavailable("dead") if dead else "ok"

    engine = RetryingEngine(ScriptedEngine(script, delay_seconds=0.01), budget_seconds=30)
    slots = asyncio.Semaphore(16)

    async def row(seed: int) -> str:
        async with slots:
            return (await engine.complete(request(seed))).text

    assert set(await asyncio.gather(*map(row, range(200)))) == {"ok"}


async def test_the_wait_grows_while_an_engine_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "LONGEST_WAIT_SECONDS", 10.0)
    monkeypatch.setattr(retrying, "FIRST_WAIT_SECONDS", 0.5)
    waits = [retrying._wait_seconds(attempts) for attempts in range(6)]
    assert waits[0] <= 0.5
    assert waits[5] >= 5.0


async def test_a_service_that_has_waited_long_enough_refuses_the_request_and_lives_on() -> None:
    def script(_: CompletionRequest) -> Reply:
        return "ok" if engine_lives else EngineUnavailable("dead")

    engine = RetryingEngine(ScriptedEngine(script), budget_seconds=0.05, exhausted=EngineUnavailable)
    engine_lives = False
    with pytest.raises(EngineUnavailable, match=r"no answer for 0 s \(dead\); look at its log$"):
        await engine.complete(request())
    engine_lives = True
    assert (await engine.complete(request())).text == "ok"


async def test_a_label_scorer_is_waited_for_in_the_same_way() -> None:
    replies: list[float | EngineUnavailable] = [EngineUnavailable("dead"), BackPressure("full"), 0.25]
    scorer = RetryingLabelScorer(ScriptedLabelScorer(lambda _: replies.pop(0)), budget_seconds=30)
    found = await scorer.label_logprobs(LabelRequest(token_ids=(1, 2), label_token_ids=(7, 9)))
    assert found.correct == pytest.approx(math.log(0.25))
    assert (scorer.model, found.num_prompt_tokens) == ("scripted", 2)
