"""The official client, unchanged, against the service."""

import json
from typing import Any

import httpx2
import openai
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI

from metamath_ray.errors import EngineUnavailable
from services.solve.routes import create_api
from tests.unit.services.kit import KEY, KEY_HASH, Broken, answering, api, client, config, engine, solution

MODEL = "embedded:teacher"
MESSAGES: list[Any] = [
    {"role": "system", "content": "Answer in rhymes."},
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "2"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Ann has 3 pears and buys 4 more."},
            {"type": "text", "text": "How many?"},
        ],
    },
]


def official(app: FastAPI, *, key: str = "unused") -> AsyncOpenAI:
    transport = httpx2.ASGITransport(app=app)
    return AsyncOpenAI(
        base_url="http://service/v1", api_key=key, max_retries=0, http_client=httpx2.AsyncClient(transport=transport)
    )


async def test_the_client_gets_the_chosen_solution_and_the_vote() -> None:
    generator = answering("7", "12", "7")
    async with official(api(generator)) as ask:
        found = await ask.chat.completions.create(
            model=MODEL, messages=MESSAGES, seed=3, temperature=0.5, extra_body={"num_samples": 3}
        )
    assert found.choices[0].message.content == solution("7")
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
    assert found.model_extra is not None
    vote = found.model_extra["metamath_ray"]
    assert (vote["answer"], vote["num_samples"], vote["candidates"]) == ("7", 3, None)
    assert len(generator.requests) == 3


async def test_the_last_user_message_is_the_question() -> None:
    one, other = answering("7"), answering("7")
    question = "Ann has 3 pears and buys 4 more.\nHow many?"
    async with official(api(one)) as ask, client(api(other)) as caller:
        await ask.chat.completions.create(model=MODEL, messages=MESSAGES, seed=3, extra_body={"num_samples": 1})
        await caller.post("/v1/solve", json={"question": question, "num_samples": 1, "seed": 3})
    assert one.requests[0].prompt == other.requests[0].prompt
    assert one.requests[0].seed == other.requests[0].seed


async def test_a_stream_gives_role_solution_vote_usage_and_an_end() -> None:
    async with official(api(answering("7"))) as ask:
        stream = await ask.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"num_samples": 2, "include_candidates": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert text == solution("7")
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert len((chunks[-2].model_extra or {})["metamath_ray"]["candidates"]) == 2
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_wire_of_a_stream_is_openais() -> None:
    body = {"model": MODEL, "messages": MESSAGES, "stream": True, "num_samples": 1}
    async with client(api(answering("7"))) as caller:
        response = await caller.post("/v1/chat/completions", json=body)
    *chunks, done, end = response.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    assert {json.loads(chunk.removeprefix("data: "))["object"] for chunk in chunks} == {"chat.completion.chunk"}


async def test_no_answer_is_an_empty_message() -> None:
    async with official(api(engine(" "))) as ask:
        found = await ask.chat.completions.create(model=MODEL, messages=MESSAGES, extra_body={"num_samples": 1})
    assert found.choices[0].message.content == ""
    assert (found.model_extra or {})["metamath_ray"]["no_answer_reason"]


@pytest.mark.parametrize(
    "unsupported",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"presence_penalty": 1.0},
        {"stop": ["\n"]},
    ],
    ids=lambda asked: next(iter(asked)),
)
async def test_what_is_not_supported_is_a_bad_request_that_names_it(unsupported: dict[str, Any]) -> None:
    async with official(api(answering("7"))) as ask:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask.chat.completions.create(model=MODEL, messages=MESSAGES, **unsupported)
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"type", "message", "request_id", "param", "code"}
    assert next(iter(unsupported)) in caught.value.body["message"]


@pytest.mark.parametrize(
    "neutral", [{"n": 1}, {"logprobs": False}, {"response_format": {"type": "text"}}, {"user": "ann"}]
)
async def test_what_asks_for_nothing_is_accepted(neutral: dict[str, Any]) -> None:
    async with official(api(answering("7"))) as ask:
        found = await ask.chat.completions.create(
            model=MODEL, messages=MESSAGES, extra_body={"num_samples": 1}, **neutral
        )
    assert found.choices[0].message.content == solution("7")


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "x"}], [{"role": "user", "content": " "}]])
async def test_a_conversation_without_a_question_is_a_bad_request(messages: list[Any]) -> None:
    async with official(api(answering("7"))) as ask:
        with pytest.raises(openai.BadRequestError, match="messages"):
            await ask.chat.completions.create(model=MODEL, messages=messages)


async def test_errors_are_the_clients_own_kinds() -> None:
    async with official(api(answering("7"))) as ask:
        with pytest.raises(openai.NotFoundError, match="embedded:teacher"):
            await ask.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    async with official(api(answering("7"), access={"keys": {"ann": KEY_HASH}}), key="wrong") as ask:
        with pytest.raises(openai.AuthenticationError):
            await ask.models.list()
    async with official(create_api(Broken(EngineUnavailable("died")), config())) as ask:
        with pytest.raises(openai.InternalServerError) as caught:
            await ask.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert caught.value.status_code == 503


async def test_the_clients_key_is_the_services() -> None:
    async with official(api(answering("7"), access={"keys": {"ann": KEY_HASH}}), key=KEY) as ask:
        assert [model.id async for model in ask.models.list()] == [MODEL]
