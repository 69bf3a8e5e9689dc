"""The queue, and clients that go."""

import asyncio
from itertools import cycle
from typing import Any

import pytest

from metamath_ray.config import LimitsConfig
from metamath_ray.inference.scripted import ScriptedEngine
from services.solve.admission import Admission
from services.solve.connection import while_connected
from services.solve.errors import Refusal
from services.solve.monitor import Silent
from tests.unit.services.kit import QUESTION, Caller, answering, api, client, solution, until

BODY = {"question": QUESTION, "num_samples": 2}
CHAT = {"model": "embedded:teacher", "messages": [{"role": "user", "content": QUESTION}], "num_samples": 2}
FOR_EVER = 3_600.0


@pytest.mark.parametrize(
    ("path", "body", "accept"),
    [
        ("/v1/solve", BODY, "application/json"),
        ("/v1/solve", BODY, "text/event-stream"),
        ("/v1/solve/batch", {"questions": [QUESTION, QUESTION], "num_samples": 1}, "application/json"),
        ("/v1/chat/completions", CHAT, "application/json"),
        ("/v1/chat/completions", {**CHAT, "stream": True}, "text/event-stream"),
    ],
)
async def test_a_client_that_goes_ends_all_its_work(path: str, body: dict[str, Any], accept: str) -> None:
    generator = answering("7", delay_seconds=FOR_EVER)
    app = api(generator, limits={"max_running": 2, "max_queued": 0})
    caller = Caller(app, path, body, accept=accept)
    call = asyncio.create_task(caller.call())
    await until(lambda: generator.num_open == 2)
    caller.has_left.set()
    await call
    assert generator.num_open == 0
    assert [message["status"] for message in caller.messages if message["type"] == "http.response.start"] == [499]
    async with client(app) as other:
        late = other.post("/v1/solve", json={**BODY, "time_limit_seconds": 0.01})
        assert (await late).status_code == 200


async def test_a_request_that_the_server_cancels_ends_all_its_work() -> None:
    generator = answering("7", delay_seconds=FOR_EVER)
    call = asyncio.create_task(Caller(api(generator), "/v1/solve", BODY).call())
    await until(lambda: generator.num_open == 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert generator.num_open == 0


async def test_work_ends_though_its_own_end_is_cancelled_too() -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())
    never = asyncio.Event()

    async def receive() -> dict[str, Any]:
        try:
            await never.wait()
        finally:
            await asyncio.sleep(0.01)  # slow to let go
        raise AssertionError

    async def wait() -> bool:
        return await work

    call = asyncio.create_task(while_connected(receive, wait()))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait((work,), timeout=1)
    assert work.cancelled()


async def test_who_leaves_the_queue_is_no_longer_counted() -> None:
    loads: list[tuple[int, int]] = []

    class Watching(Silent):
        def load(self, *, num_running: int, num_waiting: int) -> None:
            loads.append((num_running, num_waiting))

    admission = Admission(LimitsConfig(max_running=1, max_queued=1), monitor=Watching(), clock=lambda: 0.0)
    async with admission.slot(longest_wait_seconds=1):
        with pytest.raises(Refusal):
            async with admission.slot(longest_wait_seconds=0.01):
                pass
        assert loads[-1] == (1, 0)


async def test_who_hangs_up_in_the_queue_leaves_it() -> None:
    generator = answering("7", delay_seconds=FOR_EVER)
    app = api(generator, limits={"max_running": 1, "max_queued": 1})
    running, waiting, again = (Caller(app, "/v1/solve", BODY) for _ in range(3))
    calls = [asyncio.create_task(running.call())]
    await until(lambda: generator.num_open == 2)
    calls.append(asyncio.create_task(waiting.call()))
    await asyncio.sleep(0)
    waiting.has_left.set()
    await calls[1]
    calls[1] = asyncio.create_task(again.call())
    async with client(app) as other:
        await until(lambda: not again.messages)
        running.has_left.set()
        await calls[0]
        await until(lambda: generator.num_open == 2)
        assert (await other.get("/healthz")).status_code == 200
    again.has_left.set()
    await calls[1]


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["hung up", "cancelled by Serve"])
async def test_who_hangs_up_in_the_middle_of_a_stream_leaves_nothing_behind(
    is_cancelled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    sampled = cycle([0.0, FOR_EVER])
    generator = ScriptedEngine(lambda _: solution("7"), delay_seconds=lambda _: next(sampled))
    caller = Caller(api(generator), "/v1/solve", BODY, accept="text/event-stream")
    call = asyncio.create_task(caller.call())
    await until(lambda: any(b"event: sample" in message.get("body", b"") for message in caller.messages))
    if is_cancelled:
        call.cancel()
    else:
        caller.has_left.set()
    await asyncio.wait((call,))
    assert call.cancelled() is is_cancelled
    assert is_cancelled or call.exception() is None
    assert not any(b"event: error" in message.get("body", b"") for message in caller.messages)
    await until(lambda: generator.num_open == 0)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_beyond_the_queue_everybody_is_refused_at_once_and_those_within_are_served() -> None:
    generator = answering("7", delay_seconds=0.05)
    app = api(generator, limits={"max_running": 2, "max_queued": 3})
    async with client(app) as caller:
        found = await asyncio.gather(*(caller.post("/v1/solve", json=BODY) for _ in range(50)))
    refused = [response for response in found if response.status_code == 503]
    assert (len(refused), len(found) - len(refused)) == (45, 5)
    assert {response.json()["error"]["type"] for response in refused} == {"overloaded_error"}
    assert all(1 <= int(response.headers["retry-after"]) <= 60 for response in refused)
    assert all(response.json()["answer"] == "7" for response in found if response.status_code == 200)
    assert generator.most_open <= 2 * 2


async def test_the_time_limit_counts_from_the_arrival() -> None:
    app = api(answering("7", delay_seconds=FOR_EVER), limits={"max_running": 1})
    async with client(app) as caller:
        first, second = await asyncio.gather(
            caller.post("/v1/solve", json={**BODY, "time_limit_seconds": 0.2}),
            caller.post("/v1/solve", json={**BODY, "time_limit_seconds": 0.05}),
        )
    assert first.json()["stop_reason"] == "deadline"
    assert second.status_code == 503
    assert "before its turn came" in second.json()["error"]["message"]


async def test_a_batch_that_does_not_fit_is_refused_whole() -> None:
    limits = LimitsConfig(max_running=1, max_queued=1)
    admission = Admission(limits, monitor=Silent(), clock=lambda: 0.0)
    async with admission.slot(longest_wait_seconds=1):
        with pytest.raises(Refusal) as caught:
            admission.require(2)
        assert caught.value.status_code == 503
    admission.require(2)
    with pytest.raises(Refusal) as caught:
        admission.require(3)
    assert caught.value.status_code == 422
