"""Samples that are asked for together are one call; each is answered, fails and is cancelled for itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError

from metamath_ray.distributed.sampling_engine import SamplingEngine
from metamath_ray.errors import EngineUnavailable, RequestRejected
from metamath_ray.inference import CompletionRequest
from metamath_ray.types import Completion, RenderedPrompt, SamplingParameters

Ended = list[tuple[int, dict[str, Any]]]


def answer(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": "stop", "num_prompt_tokens": 2, "num_completion_tokens": 1}


class Response:
    """What a streaming handle call returns: says what ended, then fails, ends, or is silent."""

    def __init__(self, told: list[Ended], end: Exception | asyncio.CancelledError | str) -> None:
        self._told = told
        self._end = end
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Ended]:
        for ended in self._told:
            await asyncio.sleep(0)
            yield ended
        if isinstance(self._end, BaseException):
            raise self._end
        if self._end == "silent":
            await asyncio.sleep(60)

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """Answers by script; keeps every call."""

    def __init__(
        self, script: Callable[[list[int]], list[Ended]], end: Exception | asyncio.CancelledError | str = ""
    ) -> None:
        self._script = script
        self._end = end
        self.asked: list[dict[str, Any]] = []
        self.responses: list[Response] = []
        self.complete_all = self

    def options(self, *, stream: bool) -> "Handle":
        assert stream
        return self

    def remote(self, **asked: Any) -> Response:  # noqa: ANN401
        self.asked.append(asked)
        self.responses.append(Response(self._script(asked["seeds"]), self._end))
        return self.responses[-1]


def one_by_one(seeds: list[int]) -> list[Ended]:
    """The last sample ends first."""
    return [[(place, answer(str(seed)))] for place, seed in reversed(list(enumerate(seeds)))]


def first_alone(seeds: list[int]) -> list[Ended]:
    return [[(0, answer(str(seeds[0])))]]


def request(seed: int, prompt: tuple[int, ...] = (1, 2)) -> CompletionRequest:
    return CompletionRequest(prompt=RenderedPrompt(token_ids=prompt), sampling=SamplingParameters(), seed=seed)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handle], SamplingEngine]:
    def connected(handle: Handle) -> SamplingEngine:
        monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: handle)
        return SamplingEngine(application="app", model="m", timeout_seconds=5, max_model_len=8)

    return connected


Connect = Callable[[Handle], SamplingEngine]


async def outcomes(engine: SamplingEngine, *requests: CompletionRequest) -> list[Completion | BaseException]:
    return await asyncio.gather(*map(engine.complete, requests), return_exceptions=True)


async def test_samples_of_one_prompt_are_one_call_and_come_back_to_who_asked(connect: Connect) -> None:
    handle = Handle(one_by_one)
    found = await outcomes(connect(handle), *map(request, range(5)))
    assert [one.text for one in found if isinstance(one, Completion)] == ["0", "1", "2", "3", "4"]
    [asked] = handle.asked
    assert asked["seeds"] == [0, 1, 2, 3, 4]
    assert (asked["prompt_token_ids"], asked["max_tokens"]) == ([1, 2], 6)


async def test_another_prompt_and_a_later_moment_are_other_calls(connect: Connect) -> None:
    handle = Handle(one_by_one)
    engine = connect(handle)
    await outcomes(engine, request(0), request(1, prompt=(3,)))
    await outcomes(engine, request(2))
    assert [asked["seeds"] for asked in handle.asked] == [[0], [1], [2]]


async def test_what_ended_before_a_replica_died_is_kept(connect: Connect) -> None:
    first, second = await outcomes(connect(Handle(first_alone, ActorDiedError())), request(0), request(1))
    assert isinstance(first, Completion)
    assert isinstance(second, EngineUnavailable)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        pytest.param("", EngineUnavailable, id="the call ends early"),
        pytest.param(asyncio.CancelledError(), EngineUnavailable, id="the replica cancels it"),
        pytest.param(ZeroDivisionError(), ZeroDivisionError, id="nobody expected it"),
    ],
)
async def test_nobody_waits_for_ever(
    connect: Connect, end: Exception | asyncio.CancelledError | str, error: type[Exception]
) -> None:
    _, second = await outcomes(connect(Handle(first_alone, end)), request(0), request(1))
    assert type(second) is error


async def test_a_refused_sample_is_refused_alone(connect: Connect) -> None:
    refused = {"code": 400, "message": "no"}
    handle = Handle(lambda seeds: [[(0, refused), (1, answer("1"))]])
    first, second = await outcomes(connect(handle), request(0), request(1))
    assert isinstance(first, RequestRejected)
    assert isinstance(second, Completion)


async def test_the_call_is_cancelled_with_the_last_who_waits(connect: Connect) -> None:
    handle = Handle(lambda _: [], "silent")
    engine = connect(handle)
    first, second = (asyncio.create_task(engine.complete(request(seed))) for seed in range(2))
    cancelled = []
    for asking in (first, second):
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.sleep(0.01)
        cancelled.append(handle.responses[0].cancelled)
    assert cancelled == [False, True]


async def test_who_is_cancelled_before_the_call_is_never_asked_for(connect: Connect) -> None:
    handle = Handle(one_by_one)
    engine = connect(handle)
    asking = asyncio.create_task(engine.complete(request(0)))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0.01)
    assert not handle.responses
