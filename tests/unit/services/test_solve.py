"""POST /v1/solve: the answer, the events, and every way not to get one."""

from typing import Any

import pytest

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.solving import Candidate, SampleDone
from metamath_ray.types import FinishReason
from services.solve.routes import create_api
from tests.unit.services.kit import (
    QUESTION,
    Broken,
    answering,
    api,
    client,
    config,
    engine,
    events,
    solution,
)

STREAM = {"accept": "text/event-stream"}
SAMPLE = SampleDone(
    candidate=Candidate(
        index=0,
        text="x\ud800",
        answer=None,
        score=None,
        finish_reason=FinishReason.STOP,
        seed=1,
        num_tokens=1,
        votes=False,
    )
)


async def test_the_answer_is_that_of_the_largest_cluster() -> None:
    async with client(api(answering("7", "12", "7.0"))) as caller:
        answer = (await caller.post("/v1/solve", json={"question": QUESTION, "num_samples": 3, "seed": 5})).json()
    assert (answer["answer"], answer["strategy"], answer["stop_reason"]) == ("7", "majority_vote", "all_samples")
    assert [(one["answer"], one["votes"], one["members"]) for one in answer["clusters"]] == [
        ("7", 2, [0, 2]),
        ("12", 1, [1]),
    ]
    assert answer["solution"] == solution("7")
    assert answer["confidence"] == pytest.approx(2 / 3)
    assert (answer["seed"], answer["num_samples"], answer["candidates"]) == (5, 3, None)
    assert answer["usage"]["generator"]["requests"] == 3
    assert answer["usage"]["verifier"] is None
    assert answer["models"]["verifier_prompt_hash"] is None
    assert set(answer["timings"]) == {"queue", "sampling", "clustering", "scoring", "total"}


async def test_a_verifier_makes_the_weighted_vote_the_default() -> None:
    app = api(answering("7", "12", "12"), lambda request: 0.9 if len(request.token_ids) == LENGTH_OF_SEVEN else 0.1)
    body = {"question": QUESTION, "num_samples": 3, "include_candidates": True}
    async with client(app) as caller:
        answer = (await caller.post("/v1/solve", json=body)).json()
    assert (answer["answer"], answer["strategy"]) == ("7", "weighted_vote")
    assert [one["score"] for one in answer["candidates"]] == pytest.approx([0.9, 0.1, 0.1])
    assert answer["usage"]["verifier"]["requests"] == 2
    assert answer["saved"]["verifier_calls"] == 1


LENGTH_OF_SEVEN = 66
"""Tokens of the verifier's prompt for the solution "7"; that for "12" has one more."""


async def test_one_seed_gives_the_same_samples_and_none_gives_new_ones() -> None:
    generator = answering("7")
    async with client(api(generator)) as caller:
        for seed in (5, 5, None, None):
            body = {"question": QUESTION, "num_samples": 2, "seed": seed}
            answer = (await caller.post("/v1/solve", json=body)).json()
            assert isinstance(answer["seed"], int)
    seeds = [request.seed for request in generator.requests]
    assert seeds[0:2] == seeds[2:4]
    assert len(set(seeds)) == 6


async def test_what_is_asked_for_reaches_the_engine() -> None:
    generator = answering("7")
    body = {"question": QUESTION, "num_samples": 1, "temperature": 0, "top_p": 0.5, "max_tokens": 9}
    async with client(api(generator)) as caller:
        await caller.post("/v1/solve", json=body)
    sampling = generator.requests[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0, 0.5, 9)


async def test_the_events_come_in_order_and_end_with_the_whole_answer() -> None:
    async with client(api(answering("7", "12"), lambda _: 0.5)) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION, "num_samples": 2}, headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.text)
    names = [name for name, _ in found]
    assert names[0] == "sample"
    assert names.count("sample") == names.count("score") == 2
    assert "clusters" in names
    assert names.index("answer") == len(names) - 1
    samples = [data for name, data in found if name == "sample"]
    assert set(samples[0]) >= {"index", "text", "answer", "finish_reason", "votes", "tokens", "seed"}
    assert {data["index"] for data in samples} == {0, 1}
    assert {data["index"] for name, data in found if name == "score"} == {0, 1}
    answer = found[-1][1]
    assert len(answer["candidates"]) == 2
    assert answer["id"] == response.headers["x-request-id"]


async def test_text_with_line_breaks_and_separators_stays_one_event() -> None:
    text = "a\r\nb\n\nevent: answer\ndata: {}\u2028\u2029\x00\x1b[2J\nThe answer is: 7"
    async with client(api(engine(text))) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION, "num_samples": 1}, headers=STREAM)
    (first, *_, last) = events(response.text)
    assert first[1]["text"] == text
    assert last[0] == "answer"


async def test_no_answer_at_all_is_a_200_that_says_why() -> None:
    async with client(api(engine(" "))) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION, "num_samples": 2})
    answer = response.json()
    assert response.status_code == 200
    assert (answer["answer"], answer["solution"], answer["confidence"]) == (None, None, 0.0)
    assert answer["no_answer_reason"]


async def test_at_the_time_limit_the_best_answer_so_far_is_given() -> None:
    generator = answering("7", delay_seconds=60)
    body = {"question": QUESTION, "num_samples": 2, "time_limit_seconds": 0.05}
    async with client(api(generator)) as caller:
        answer = (await caller.post("/v1/solve", json=body)).json()
    assert (answer["stop_reason"], answer["answer"], answer["num_samples"]) == ("deadline", None, 0)
    assert generator.num_open == 0


async def test_adaptive_sampling_ends_early_and_says_what_it_saved() -> None:
    body = {"question": QUESTION, "num_samples": 16, "adaptive": {"min_samples": 4, "confidence": 0.9}}
    async with client(api(answering("7"))) as caller:
        answer = (await caller.post("/v1/solve", json=body)).json()
    assert answer["stop_reason"] == "confident"
    assert answer["num_samples"] + answer["saved"]["samples"] == 16
    assert answer["saved"]["samples"] > 0


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (EngineUnavailable("10.0.0.7: actor died"), 503, "unavailable_error"),
        (BackPressure("10.0.0.7: full"), 503, "unavailable_error"),
        (RequestRejected("10.0.0.7: 9,000 tokens"), 422, "invalid_request_error"),
        (RunFailed("10.0.0.7: gave up"), 503, "unavailable_error"),
        (RuntimeError("10.0.0.7: no such attribute"), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("headers", [{}, STREAM], ids=["json", "stream"])
async def test_an_error_has_its_status_and_tells_nothing_internal(
    error: Exception, status: int, kind: str, headers: dict[str, str]
) -> None:
    async with client(create_api(Broken(error), config())) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION}, headers=headers)
    found = response.json()["error"]
    assert (response.status_code, found["type"]) == (status, kind)
    assert found["request_id"] == response.headers["x-request-id"]
    assert "10.0.0.7" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


async def test_an_error_after_the_first_event_is_the_last_event() -> None:
    app = create_api(Broken(EngineUnavailable("10.0.0.7: died"), after=SAMPLE), config())
    async with client(app) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION}, headers=STREAM)
    assert response.status_code == 200
    (first, last) = events(response.text)
    assert first == ("sample", first[1])
    assert last[0] == "error"
    assert last[1]["error"]["type"] == "unavailable_error"
    assert "10.0.0.7" not in response.text


async def test_half_a_surrogate_pair_out_of_a_model_is_replaced() -> None:
    app = create_api(Broken(EngineUnavailable("died"), after=SAMPLE), config())
    async with client(app) as caller:
        response = await caller.post("/v1/solve", json={"question": QUESTION}, headers=STREAM)
    assert events(response.text)[0][1]["text"] == "x?"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": " \n"}, "question"),
        ({"question": 7}, "question"),
        ({"question": QUESTION, "questions": []}, "questions"),
        ({"question": QUESTION, "num_samples": 0}, "num_samples"),
        ({"question": QUESTION, "num_samples": 65}, "num_samples: this service allows 64 at most"),
        ({"question": QUESTION, "num_samples": True}, "num_samples"),
        ({"question": QUESTION, "max_tokens": 4096}, "max_tokens: this service allows 2048 at most"),
        ({"question": QUESTION, "time_limit_seconds": 301}, "time_limit_seconds: this service allows 300 at most"),
        ({"question": "x" * 8001}, "8,000 characters"),
        ({"question": QUESTION, "strategy": "best"}, "strategy"),
        ({"question": QUESTION, "strategy": "weighted_vote"}, "needs a verifier"),
        ({"question": QUESTION, "adaptive": {"confidence": 0}}, "adaptive.confidence"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(body: dict[str, Any], said: str) -> None:
    generator = answering("7")
    async with client(api(generator)) as caller:
        response = await caller.post("/v1/solve", json=body)
    assert response.status_code == 422
    assert said in response.json()["error"]["message"]
    assert "\n" not in response.json()["error"]["message"]
    assert not generator.requests
