"""What the deployment asks of vLLM, and what it makes of the answer; the engine itself is the integration tests'."""

import asyncio
from collections.abc import AsyncGenerator
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.exceptions import VLLMServerError, VLLMValidationError

from metamath_ray.distributed import llm_server
from metamath_ray.distributed.llm_server import CompletionServer


class Engine:
    """vLLM's engine: one output, an error, or nothing until it is cancelled."""

    def __init__(self, reply: SimpleNamespace | Exception | None) -> None:
        self._reply = reply
        self.asked: list[tuple[Any, Any]] = []
        self.names: list[str] = []
        self.num_open = 0

    async def generate(self, prompt: Any, parameters: Any, name: str) -> AsyncGenerator[SimpleNamespace, None]:  # noqa: ANN401
        self.asked.append((prompt, parameters))
        self.names.append(name)
        self.num_open += 1
        try:
            if isinstance(self._reply, Exception):
                raise self._reply
            if self._reply is None:
                await asyncio.sleep(60)
            else:
                yield self._reply
        finally:
            self.num_open -= 1


class Server:
    """Our methods over such an engine."""

    _generate = CompletionServer._generate
    complete = CompletionServer.complete
    answer_all = CompletionServer.answer_all
    label_logprobs = CompletionServer.label_logprobs

    def __init__(self, reply: SimpleNamespace | Exception | None) -> None:
        self.vllm = Engine(reply)
        self.engine = SimpleNamespace(_engine_client=self.vllm)


def output(**sample: Any) -> SimpleNamespace:  # noqa: ANN401
    return SimpleNamespace(prompt_token_ids=[1, 2, 3], outputs=[SimpleNamespace(**sample)])


def weighed(*logprobs: tuple[int, float]) -> SimpleNamespace:
    return output(logprobs=[{token: SimpleNamespace(logprob=value) for token, value in logprobs}])


SAMPLING: dict[str, Any] = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 5, "stop": ["\n"], "seed": 1}


async def test_a_sample_is_one_plain_record() -> None:
    server = Server(output(text="7", finish_reason="stop", token_ids=[4, 5]))
    found = await server.complete(prompt_token_ids=[1, 2, 3], **SAMPLING)  # type: ignore[misc]
    assert found == {"text": "7", "finish_reason": "stop", "num_prompt_tokens": 3, "num_completion_tokens": 2}
    ((prompt, parameters),) = server.vllm.asked
    assert prompt["prompt_token_ids"] == [1, 2, 3]
    assert {name: getattr(parameters, name) for name in SAMPLING} == SAMPLING
    assert server.vllm.num_open == 0


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_what_vllm_broke_off_is_no_sample(reason: str) -> None:
    server = Server(output(text="First, 2 *", finish_reason=reason, token_ids=[4, 5]))
    found = await server.complete(prompt_token_ids=[1, 2, 3], **SAMPLING)  # type: ignore[misc]
    assert found == {"code": 500, "message": f"vLLM broke the request off ({reason})"}


async def test_each_request_has_a_name_of_its_own() -> None:
    server = Server(output(text="7", finish_reason="stop", token_ids=[4, 5]))
    for _ in range(2):
        await server.complete(prompt_token_ids=[1, 2, 3], **SAMPLING)  # type: ignore[misc]
    assert len(set(server.vllm.names)) == 2


async def test_the_labels_are_told_by_their_ids_whatever_was_sampled() -> None:
    server = Server(weighed((5, -0.1), (7, -2.5), (9, -inf)))
    found = await server.label_logprobs(prompt_token_ids=[1, 2, 3], label_token_ids=[7, 9])  # type: ignore[misc]
    assert found == {"correct": -2.5, "incorrect": -inf, "num_prompt_tokens": 3}
    assert server.vllm.num_open == 0


async def test_vllm_is_asked_for_the_two_labels_alone() -> None:
    server = Server(weighed((7, -0.1), (9, -2.5)))
    await server.label_logprobs(prompt_token_ids=[1, 2, 3], label_token_ids=[7, 9])  # type: ignore[misc]
    ((_, parameters),) = server.vllm.asked
    assert (parameters.logprob_token_ids, parameters.logprobs) == ([7, 9], None)
    assert (parameters.max_tokens, parameters.temperature, parameters.n) == (1, 0.0, 1)


@pytest.mark.parametrize(
    ("error", "code"),
    [(VLLMValidationError("too long"), 400), (VLLMServerError("too long"), 500)],
    ids=["the-request-at-fault", "the-engine-at-fault"],
)
async def test_an_error_comes_back_as_a_record_that_says_who_is_at_fault(error: Exception, code: int) -> None:
    server = Server(error)
    refused = {"code": code, "message": "too long"}
    assert await server.label_logprobs(prompt_token_ids=[1], label_token_ids=[7, 9]) == refused  # type: ignore[misc]
    assert await server.complete(prompt_token_ids=[1], **SAMPLING) == refused  # type: ignore[misc]


async def test_impossible_parameters_are_refused() -> None:
    server = Server(None)
    found = await server.complete(prompt_token_ids=[1], **{**SAMPLING, "temperature": -1.0})  # type: ignore[misc]
    assert found["code"] == 400
    assert not server.vllm.asked


async def test_a_call_that_is_cancelled_leaves_no_generator_open() -> None:
    server = Server(None)
    asking = asyncio.create_task(server.label_logprobs(prompt_token_ids=[1], label_token_ids=[7, 9]))  # type: ignore[misc]
    while not server.vllm.num_open:  # noqa: ASYNC110  (the first call imports vLLM)
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert server.vllm.num_open == 0


PROMPT = {"prompt_token_ids": [1, 2, 3], **{name: value for name, value in SAMPLING.items() if name != "seed"}}
OTHER = {**PROMPT, "prompt_token_ids": [4]}


def told_by(server: Any, *samples: tuple[int, int], longest_wait_seconds: float = 0.0) -> AsyncGenerator[Any, None]:  # noqa: ANN401
    requests = [(prompt, {"seed": seed}) for prompt, seed in samples]
    asked: AsyncGenerator[Any, None] = server.answer_all(
        "complete", [PROMPT, OTHER], requests, longest_wait_seconds=longest_wait_seconds
    )
    return asked


async def test_samples_of_several_prompts_are_told_as_they_end_and_by_their_place() -> None:
    server = Server(output(text="7", finish_reason="stop", token_ids=[4, 5]))
    found = dict([one async for ended in told_by(server, (0, 3), (1, 4), (0, 5)) for one in ended])
    assert sorted(found) == [0, 1, 2]
    assert {one["text"] for one in found.values()} == {"7"}
    asked = [(prompt["prompt_token_ids"], parameters.seed) for prompt, parameters in server.vllm.asked]
    assert asked == [([1, 2, 3], 3), ([4], 4), ([1, 2, 3], 5)]


async def test_samples_that_end_soon_after_another_come_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server, told_first = Server(None), asyncio.Event()

    async def complete(*, seed: int, **_: Any) -> dict[str, Any]:  # noqa: ANN401
        await (told_first.wait() if seed == 2 else asyncio.sleep(seed / 1000))
        return {}

    monkeypatch.setattr(server, "complete", complete)
    monkeypatch.setattr(llm_server, "SHORTEST_WAIT_SECONDS", 1.0)
    told = told_by(server, (0, 0), (0, 1), (0, 2), longest_wait_seconds=1.0)
    assert {place for place, _ in await anext(told)} == {0, 1}
    told_first.set()
    assert [ended async for ended in told] == [[(2, {})]]


async def test_the_longer_samples_take_the_longer_one_waits_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(None)

    async def complete(*, seed: int, **_: Any) -> dict[str, Any]:  # noqa: ANN401
        await asyncio.sleep(seed / 1000)
        return {}

    monkeypatch.setattr(server, "complete", complete)
    monkeypatch.setattr(llm_server, "SHORTEST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(llm_server, "SHARE_WAITED", 100.0)
    told = [ended async for ended in told_by(server, (0, 5), (0, 50), (0, 99), longest_wait_seconds=60.0)]
    assert [{place for place, _ in ended} for ended in told] == [{0, 1, 2}]


async def test_a_sample_that_breaks_something_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(None)

    async def complete(*, seed: int, **_: Any) -> dict[str, Any]:  # noqa: ANN401
        if seed == 1:
            raise ZeroDivisionError("seed")
        return {}

    monkeypatch.setattr(server, "complete", complete)
    found = dict([one async for ended in told_by(server, (0, 0), (0, 1)) for one in ended])
    assert found == {0: {}, 1: {"code": 500, "message": "ZeroDivisionError: seed"}}


async def test_samples_that_nobody_waits_for_any_more_are_aborted() -> None:
    server = Server(None)
    asking = asyncio.ensure_future(anext(told_by(server, (0, 3), (1, 4))))
    while server.vllm.num_open < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert server.vllm.num_open == 0


async def test_labels_of_many_prompts_are_weighed_in_one_call() -> None:
    server = Server(weighed((7, -0.1), (9, -2.5)))
    shared = [{"prompt_token_ids": [number], "label_token_ids": [7, 9]} for number in range(2)]
    told = server.answer_all("label_logprobs", shared, [(0, {}), (1, {})], longest_wait_seconds=0.0)  # type: ignore[misc]
    found = dict([one async for ended in told for one in ended])
    assert {place: one["correct"] for place, one in found.items()} == {0: -0.1, 1: -0.1}
    assert [prompt["prompt_token_ids"] for prompt, _ in server.vllm.asked] == [[0], [1]]
