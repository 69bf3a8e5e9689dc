"""The engine against a scripted handle: which errors are whose."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from metamath_ray.distributed.serve_engine import ServeEngine, ServeLabelScorer
from metamath_ray.errors import BackPressure, EngineError, EngineUnavailable, RequestRejected
from metamath_ray.inference import CompletionRequest, LabelLogprobs, LabelRequest
from metamath_ray.types import FinishReason, RenderedPrompt, SamplingParameters

ANSWER = {"text": " 7", "finish_reason": "stop", "num_prompt_tokens": 3, "num_completion_tokens": 2}
REQUEST = CompletionRequest(prompt=RenderedPrompt(token_ids=(1, 2)), sampling=SamplingParameters(), seed=9)


class Response:
    """What a handle call returns: awaitable, cancellable."""

    def __init__(self, answer: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._answer = answer
        self.cancelled = False

    def __await__(self) -> Any:  # noqa: ANN401
        return self._answer().__await__()

    def cancel(self) -> None:
        self.cancelled = True


class Handle:
    """Answers every call alike; keeps what it was asked."""

    def __init__(self, answer: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self.response = Response(answer)
        self.asked: dict[str, Any] = {}

    @property
    def complete(self) -> "Handle":
        return self

    @property
    def label_logprobs(self) -> "Handle":
        return self

    def remote(self, **arguments: Any) -> Response:  # noqa: ANN401
        self.asked = arguments
        return self.response


def engine(monkeypatch: pytest.MonkeyPatch, handle: Handle, timeout_seconds: float = 5) -> ServeEngine:
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: handle)
    return ServeEngine(application="app", model="m", timeout_seconds=timeout_seconds)


def answers(answer: dict[str, Any] | Exception) -> Handle:
    async def reply() -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Handle(reply)


async def never() -> dict[str, Any]:
    await asyncio.sleep(60)
    return ANSWER


async def test_token_ids_and_seed_go_out_and_a_completion_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = answers(ANSWER)
    completion = await engine(monkeypatch, handle).complete(REQUEST)
    assert (handle.asked["prompt_token_ids"], handle.asked["seed"]) == ([1, 2], 9)
    assert (completion.text, completion.finish_reason, completion.seed) == (" 7", FinishReason.STOP, 9)


@pytest.mark.parametrize(("context", "asked"), [(None, 1024), (4096, 1024), (10, 8)])
async def test_a_completion_is_as_long_as_the_context_leaves_room(
    monkeypatch: pytest.MonkeyPatch, context: int | None, asked: int
) -> None:
    handle = answers(ANSWER)
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: handle)
    await ServeEngine(application="a", model="m", timeout_seconds=5, max_model_len=context).complete(REQUEST)
    assert handle.asked["max_tokens"] == asked


async def test_a_prompt_that_fills_the_context_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: answers(ANSWER))
    small = ServeEngine(application="a", model="m", timeout_seconds=5, max_model_len=2)
    with pytest.raises(RequestRejected, match="the model holds 2"):
        await small.complete(REQUEST)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param({"code": 400, "message": "too long"}, RequestRejected, id="refused"),
        pytest.param({"code": 500, "message": "broken"}, EngineUnavailable, id="server-error"),
        pytest.param(BackPressureError(num_queued_requests=9, max_queued_requests=8), BackPressure, id="full"),
        pytest.param(ActorDiedError(), EngineUnavailable, id="replica-died"),
        pytest.param(RayTaskError("f", "traceback", RuntimeError("EngineDead")), EngineUnavailable, id="engine-died"),
    ],
)
async def test_an_error_says_who_is_at_fault(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception, error: type[EngineError]
) -> None:
    with pytest.raises(error) as caught:
        await engine(monkeypatch, answers(answer)).complete(REQUEST)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


async def test_a_request_that_hangs_is_cancelled_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle(never)
    with pytest.raises(EngineUnavailable, match="no answer within"):
        await engine(monkeypatch, handle, timeout_seconds=0.05).complete(REQUEST)
    assert handle.response.cancelled


async def test_a_caller_that_is_cancelled_cancels_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle(never)
    asking = asyncio.create_task(engine(monkeypatch, handle).complete(REQUEST))
    await asyncio.sleep(0.01)
    assert not handle.response.cancelled
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert handle.response.cancelled


async def test_a_call_that_the_replica_cancelled_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def given_up() -> dict[str, Any]:
        raise asyncio.CancelledError

    with pytest.raises(EngineUnavailable, match="the replica cancelled the call"):
        await engine(monkeypatch, Handle(given_up)).complete(REQUEST)


async def test_prompt_and_labels_go_out_and_their_logprobs_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = answers({"correct": -0.5, "incorrect": -1.5, "num_prompt_tokens": 2})
    monkeypatch.setattr(
        serve, "get_deployment_handle", lambda *name: {("CompletionServer:verifier", "app"): handle}[name]
    )
    scorer = ServeLabelScorer(application="app", model="m", timeout_seconds=5, deployment="CompletionServer:verifier")
    found = await scorer.label_logprobs(LabelRequest(token_ids=(1, 2), label_token_ids=(7, 9)))
    assert handle.asked == {"prompt_token_ids": [1, 2], "label_token_ids": [7, 9]}
    assert found == LabelLogprobs(correct=-0.5, incorrect=-1.5, num_prompt_tokens=2)


async def test_a_label_scorer_translates_errors_as_the_engine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *_: answers({"code": 400, "message": "too long"}))
    scorer = ServeLabelScorer(application="app", model="m", timeout_seconds=5)
    with pytest.raises(RequestRejected, match="400: too long"):
        await scorer.label_logprobs(LabelRequest(token_ids=(1,), label_token_ids=(7, 9)))
