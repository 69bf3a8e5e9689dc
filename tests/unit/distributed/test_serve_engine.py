"""Samples that are asked for together are one call; each is answered, fails and is cancelled for itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from metamath_ray.distributed.grouped_calls import FOR_RUNS, FOR_SAMPLES, FOR_SCORES, Grouping
from metamath_ray.distributed.serve_engine import ServeEngine, ServeLabelScorer
from metamath_ray.errors import BackPressure, EngineError, EngineUnavailable, RequestRejected
from metamath_ray.inference import CompletionRequest, LabelLogprobs, LabelRequest
from metamath_ray.types import ChatMessage, Completion, FinishReason, RenderedPrompt, SamplingParameters

Ended = list[tuple[int, dict[str, Any]]]
Requests = list[tuple[int, dict[str, Any]]]
End = Exception | asyncio.CancelledError | str
SOON = replace(FOR_RUNS, asking_seconds=0.02, max_requests=3)


def answer(text: str) -> dict[str, Any]:
    return {"text": text, "finish_reason": "stop", "num_prompt_tokens": 2, "num_completion_tokens": 1}


class Response:
    """What a streaming call returns: says what ended, then fails, ends, or is silent."""

    def __init__(self, told: list[Ended], end: End) -> None:
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

    def __init__(self, script: Callable[[Requests], list[Ended]], end: End = "") -> None:
        self._script = script
        self._end = end
        self.shared: list[list[dict[str, Any]]] = []
        self.calls: list[list[tuple[tuple[int, ...], Any]]] = []
        self.methods: set[str] = set()
        self.responses: list[Response] = []
        self.answer_all = self

    def options(self, *, stream: bool) -> "Handle":
        assert stream
        return self

    def remote(self, method: str, shared: list[dict[str, Any]], requests: Requests, **_: Any) -> Response:  # noqa: ANN401
        self.methods.add(method)
        self.shared.append(shared)
        self.calls.append([(tuple(shared[place]["prompt_token_ids"]), own.get("seed")) for place, own in requests])
        self.responses.append(Response(self._script(requests), self._end))
        return self.responses[-1]


def one_by_one(requests: Requests) -> list[Ended]:
    """The last sample ends first."""
    return [[(place, answer(str(own["seed"])))] for place, (_, own) in reversed(list(enumerate(requests)))]


def first_alone(requests: Requests) -> list[Ended]:
    return [[(0, answer(str(requests[0][1]["seed"])))]]


def answers_all(found: dict[str, Any]) -> Handle:
    return Handle(lambda requests: [[(place, found) for place in range(len(requests))]])


def request(seed: int, prompt: tuple[int, ...] = (1, 2)) -> CompletionRequest:
    return CompletionRequest(prompt=RenderedPrompt(token_ids=prompt), sampling=SamplingParameters(), seed=seed)


Connect = Callable[..., ServeEngine]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def connected(
        handle: Handle, grouping: Grouping = FOR_SAMPLES, context: int | None = 8, timeout_seconds: float = 5
    ) -> ServeEngine:
        monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: handle)
        return ServeEngine(
            application="app", model="m", timeout_seconds=timeout_seconds, grouping=grouping, max_model_len=context
        )

    return connected


async def outcomes(engine: ServeEngine, *requests: CompletionRequest) -> list[Completion | BaseException]:
    return await asyncio.gather(*map(engine.complete, requests), return_exceptions=True)


def texts(found: list[Completion | BaseException]) -> list[str]:
    return [one.text for one in found if isinstance(one, Completion)]


async def test_token_ids_and_seed_go_out_and_a_completion_comes_back(connect: Connect) -> None:
    handle = answers_all({"text": " 7", "finish_reason": "length", "num_prompt_tokens": 3, "num_completion_tokens": 2})
    completion = await connect(handle).complete(request(9))
    assert handle.calls == [[((1, 2), 9)]]
    assert completion == Completion(
        text=" 7",
        finish_reason=FinishReason.LENGTH,
        num_prompt_tokens=3,
        num_completion_tokens=2,
        seed=9,
        model="m",
    )


async def test_samples_of_one_prompt_are_one_call_and_come_back_to_who_asked(connect: Connect) -> None:
    handle = Handle(one_by_one)
    found = await outcomes(connect(handle), *map(request, range(5)))
    assert texts(found) == ["0", "1", "2", "3", "4"]
    assert handle.calls == [[((1, 2), seed) for seed in range(5)]]
    [[shared]] = handle.shared
    assert (shared["prompt_token_ids"], shared["max_tokens"]) == ([1, 2], 6)


async def test_for_samples_another_prompt_and_a_later_moment_are_other_calls(connect: Connect) -> None:
    handle = Handle(one_by_one)
    engine = connect(handle)
    await outcomes(engine, request(0), request(1, prompt=(3,)))
    await outcomes(engine, request(2))
    assert handle.calls == [[((1, 2), 0)], [((3,), 1)], [((1, 2), 2)]]


async def test_in_a_run_prompts_of_one_moment_share_a_call_and_each_is_sent_once(connect: Connect) -> None:
    handle = Handle(one_by_one)
    asked = request(0), request(1, prompt=(3,)), request(2)
    assert texts(await outcomes(connect(handle, replace(SOON, max_requests=4)), *asked)) == ["0", "1", "2"]
    assert handle.calls == [[((1, 2), 0), ((3,), 1), ((1, 2), 2)]]
    assert len(handle.shared[0]) == 2


async def test_in_a_run_a_call_waits_for_what_is_asked_soon_after(connect: Connect) -> None:
    handle = Handle(one_by_one)
    engine = connect(handle, SOON)

    async def later() -> Completion:
        await asyncio.sleep(0.002)
        return await engine.complete(request(1))

    another_call = asyncio.create_task(asyncio.sleep(60))
    engine._calls._running.add(another_call)
    await asyncio.gather(engine.complete(request(0)), later())
    assert len(handle.calls) == 1
    another_call.cancel()


async def test_an_engine_with_nothing_to_do_is_asked_at_once(connect: Connect) -> None:
    handle = Handle(one_by_one)
    async with asyncio.timeout(1):
        await connect(handle, replace(SOON, asking_seconds=60)).complete(request(0))
    assert len(handle.calls) == 1


async def test_a_full_call_waits_for_no_more(connect: Connect) -> None:
    handle = Handle(one_by_one)
    engine = connect(handle, replace(SOON, asking_seconds=60))
    assert texts(await outcomes(engine, *map(request, range(6)))) == [str(seed) for seed in range(6)]
    assert [len(call) for call in handle.calls] == [3, 3]


@pytest.mark.parametrize(("context", "asked"), [(None, 1024), (4096, 1024), (10, 8)])
async def test_a_completion_is_as_long_as_the_context_leaves_room(
    connect: Connect, context: int | None, asked: int
) -> None:
    handle = Handle(one_by_one)
    await connect(handle, context=context).complete(request(0))
    assert handle.shared[0][0]["max_tokens"] == asked


async def test_a_prompt_that_fills_the_context_is_refused_and_spoils_no_call(connect: Connect) -> None:
    handle = Handle(one_by_one)
    refused, other = await outcomes(connect(handle, SOON), request(0, prompt=tuple(range(8))), request(1))
    assert isinstance(refused, RequestRejected)
    assert "the model holds 8" in str(refused)
    assert isinstance(other, Completion)


async def test_chat_messages_are_refused(connect: Connect) -> None:
    prompt = RenderedPrompt(messages=(ChatMessage(role="user", content="?"),))
    asked = CompletionRequest(prompt=prompt, sampling=SamplingParameters(), seed=0)
    with pytest.raises(RequestRejected, match="token ids"):
        await connect(Handle(one_by_one)).complete(asked)


@pytest.mark.parametrize(
    ("found", "end", "error"),
    [
        pytest.param({"code": 400, "message": "too long"}, "", RequestRejected, id="refused"),
        pytest.param({"code": 500, "message": "broken"}, "", EngineUnavailable, id="server-error"),
        pytest.param(None, BackPressureError(num_queued_requests=9, max_queued_requests=8), BackPressure, id="full"),
        pytest.param(None, ActorDiedError(), EngineUnavailable, id="replica-died"),
        pytest.param(
            None, RayTaskError("f", "traceback", RuntimeError("EngineDead")), EngineUnavailable, id="engine-died"
        ),
    ],
)
async def test_an_error_says_who_is_at_fault(
    connect: Connect, found: dict[str, Any] | None, end: End, error: type[EngineError]
) -> None:
    handle = Handle(lambda _: [[(0, found)]] if found else [], end)
    with pytest.raises(error) as caught:
        await connect(handle).complete(request(0))
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


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
async def test_nobody_waits_for_ever(connect: Connect, end: End, error: type[Exception]) -> None:
    _, second = await outcomes(connect(Handle(first_alone, end)), request(0), request(1))
    assert type(second) is error


async def test_a_call_that_hangs_is_cancelled_and_may_be_tried_again(connect: Connect) -> None:
    handle = Handle(lambda _: [], "silent")
    with pytest.raises(EngineUnavailable, match="no answer within"):
        await connect(handle, timeout_seconds=0.05).complete(request(0))
    await asyncio.sleep(0.01)
    assert handle.responses[0].cancelled


@pytest.mark.parametrize("grouping", [FOR_SAMPLES, SOON], ids=["for-samples", "in-a-run"])
async def test_a_refused_sample_is_refused_alone(connect: Connect, grouping: Grouping) -> None:
    refused = {"code": 400, "message": "no"}
    handle = Handle(lambda _: [[(0, refused), (1, answer("1"))]])
    first, second = await outcomes(connect(handle, grouping), request(0), request(1))
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


WEIGHED = {"correct": -0.5, "incorrect": -1.5, "num_prompt_tokens": 2}


async def test_prompts_and_labels_go_out_together_and_their_logprobs_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = answers_all(WEIGHED)
    named = {("CompletionServer:verifier", "app"): handle}
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *name: named[name])
    scorer = ServeLabelScorer(
        application="app", model="m", timeout_seconds=5, grouping=FOR_SCORES, deployment="CompletionServer:verifier"
    )
    asked = [LabelRequest(token_ids=(1, number), label_token_ids=(7, 9)) for number in range(2)]
    found = await asyncio.gather(*map(scorer.label_logprobs, asked))
    assert found == 2 * [LabelLogprobs(correct=-0.5, incorrect=-1.5, num_prompt_tokens=2)]
    assert handle.calls == [[((1, 0), None), ((1, 1), None)]]
    assert handle.methods == {"label_logprobs"}
    assert {tuple(shared["label_token_ids"]) for shared in handle.shared[0]} == {(7, 9)}


async def test_a_label_scorer_says_as_the_engine_does_who_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: answers_all({"code": 400, "message": "too long"}))
    scorer = ServeLabelScorer(application="app", model="m", timeout_seconds=5, grouping=FOR_SCORES)
    with pytest.raises(RequestRejected, match="400: too long"):
        await scorer.label_logprobs(LabelRequest(token_ids=(1,), label_token_ids=(7, 9)))
