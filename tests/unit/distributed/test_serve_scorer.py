"""The label scorer against a scripted handle: which errors are whose."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError

from metamath_ray.distributed.serve_scorer import ServeLabelScorer
from metamath_ray.errors import BackPressure, EngineError, EngineUnavailable, RequestRejected
from metamath_ray.inference import LabelLogprobs, LabelRequest

ANSWER = {"correct": -0.5, "incorrect": -1.5, "num_prompt_tokens": 2}
REQUEST = LabelRequest(token_ids=(1, 2), label_token_ids=(7, 9))


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
        self.label_logprobs = self

    def remote(self, **arguments: Any) -> Response:  # noqa: ANN401
        self.asked = arguments
        return self.response


def scorer(monkeypatch: pytest.MonkeyPatch, handle: Handle, timeout_seconds: float = 5) -> ServeLabelScorer:
    named = {("CompletionServer:verifier", "app"): handle}
    monkeypatch.setattr(serve, "get_deployment_handle", lambda *name: named[name])
    return ServeLabelScorer(
        application="app", model="m", timeout_seconds=timeout_seconds, deployment="CompletionServer:verifier"
    )


def answers(answer: dict[str, Any] | Exception) -> Handle:
    async def reply() -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Handle(reply)


async def never() -> dict[str, Any]:
    await asyncio.sleep(60)
    return ANSWER


async def test_prompt_and_labels_go_out_and_their_logprobs_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = answers(ANSWER)
    found = await scorer(monkeypatch, handle).label_logprobs(REQUEST)
    assert handle.asked == {"prompt_token_ids": [1, 2], "label_token_ids": [7, 9]}
    assert found == LabelLogprobs(correct=-0.5, incorrect=-1.5, num_prompt_tokens=2)


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
        await scorer(monkeypatch, answers(answer)).label_logprobs(REQUEST)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


async def test_a_request_that_hangs_is_cancelled_and_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle(never)
    with pytest.raises(EngineUnavailable, match="no answer within"):
        await scorer(monkeypatch, handle, timeout_seconds=0.05).label_logprobs(REQUEST)
    assert handle.response.cancelled


async def test_a_caller_that_is_cancelled_cancels_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Handle(never)
    asking = asyncio.create_task(scorer(monkeypatch, handle).label_logprobs(REQUEST))
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
        await scorer(monkeypatch, Handle(given_up)).label_logprobs(REQUEST)
