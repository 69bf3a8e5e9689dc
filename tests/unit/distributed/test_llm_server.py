"""What the deployment asks of vLLM, and what it makes of the answer; the engine itself is the integration tests'."""

import asyncio
from collections.abc import AsyncGenerator
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from metamath_ray.distributed.llm_server import CompletionServer

USAGE = SimpleNamespace(prompt_tokens=3, completion_tokens=1)
REFUSED = SimpleNamespace(error=SimpleNamespace(code=400, message="too long"))


class Server:
    """Our methods over an engine that gives one response, or none until it is cancelled."""

    _complete = CompletionServer._complete
    complete = CompletionServer.complete
    label_logprobs = CompletionServer.label_logprobs

    def __init__(self, response: SimpleNamespace | None) -> None:
        self._response = response
        self.asked: list[Any] = []
        self.num_open = 0

    async def completions(self, request: Any) -> AsyncGenerator[SimpleNamespace, None]:  # noqa: ANN401
        self.asked.append(request)
        return self._responses()

    async def _responses(self) -> AsyncGenerator[SimpleNamespace, None]:
        self.num_open += 1
        try:
            if self._response is None:
                await asyncio.sleep(60)
            else:
                yield self._response
        finally:
            self.num_open -= 1


def weighed(*logprobs: tuple[int, float]) -> SimpleNamespace:
    top = {f"token_id:{token}": value for token, value in logprobs}
    return SimpleNamespace(choices=[SimpleNamespace(logprobs=SimpleNamespace(top_logprobs=[top]))], usage=USAGE)


async def test_the_labels_are_told_by_their_ids_whatever_was_sampled() -> None:
    server = Server(weighed((5, -0.1), (7, -2.5), (9, -9999.0)))
    found = await server.label_logprobs(prompt_token_ids=[1, 2, 3], label_token_ids=[7, 9])  # type: ignore[misc]
    assert found == {"correct": -2.5, "incorrect": -inf, "num_prompt_tokens": 3}
    assert server.num_open == 0


async def test_vllm_is_asked_for_the_two_labels_alone() -> None:
    server = Server(weighed((7, -0.1), (9, -2.5)))
    await server.label_logprobs(prompt_token_ids=[1, 2, 3], label_token_ids=[7, 9])  # type: ignore[misc]
    parameters = server.asked[0].to_sampling_params(1, {})
    assert (parameters.logprob_token_ids, parameters.logprobs) == ([7, 9], None)
    assert (parameters.max_tokens, parameters.temperature, parameters.n) == (1, 0.0, 1)
    assert server.asked[0].add_special_tokens is False


async def test_a_refusal_comes_back_as_a_record() -> None:
    server = Server(REFUSED)
    refused = {"code": 400, "message": "too long"}
    assert await server.label_logprobs(prompt_token_ids=[1], label_token_ids=[7, 9]) == refused  # type: ignore[misc]
    sampling: dict[str, Any] = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 5, "stop": [], "seed": 1}
    assert await server.complete(prompt_token_ids=[1], **sampling) == refused  # type: ignore[misc]


async def test_a_call_that_is_cancelled_leaves_no_generator_open() -> None:
    server = Server(None)
    asking = asyncio.create_task(server.label_logprobs(prompt_token_ids=[1], label_token_ids=[7, 9]))  # type: ignore[misc]
    while not server.num_open:  # noqa: ASYNC110  (the first call imports vLLM)
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert server.num_open == 0
