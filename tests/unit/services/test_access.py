"""Keys and rates."""

import hashlib
import hmac
import logging

import httpx
import pytest

from metamath_ray.config import AccessConfig
from metamath_ray.errors import ConfigError
from services.solve import access
from services.solve.access import KEYS_VARIABLE, KeyRing, RateLimiter, with_environment
from services.solve.errors import Refusal
from services.solve.routes import create_api
from tests.unit.services.kit import KEY, KEY_HASH, QUESTION, answering, api, client, config, solver

OTHER_HASH = hashlib.sha256(b"other").hexdigest()


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_is_known_by_its_name() -> None:
    ring = KeyRing({"ann": KEY_HASH, "bob": OTHER_HASH})
    assert ring.caller(f"Bearer {KEY}") == "ann"
    assert ring.caller("bearer other") == "bob"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY_HASH}", "Bearer \udcff"],
)
def test_everything_else_is_refused(header: str | None) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    with pytest.raises(Refusal) as caught:
        KeyRing({"ann": KEY_HASH, "nobody": empty}).caller(header)
    assert caught.value.status_code == 401


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append(other)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(access, "hmac", type("Module", (), {"compare_digest": staticmethod(compare)}))
    KeyRing({"ann": KEY_HASH, "bob": OTHER_HASH}).caller(f"Bearer {KEY}")
    assert compared == [KEY_HASH, OTHER_HASH]


def test_keys_of_the_environment_are_added() -> None:
    merged = with_environment(AccessConfig(keys={"ann": KEY_HASH}), {KEYS_VARIABLE: f"bob:{OTHER_HASH}, "})
    assert merged.keys == {"ann": KEY_HASH, "bob": OTHER_HASH}


def test_a_key_instead_of_its_hash_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="sha256sum") as caught:
        with_environment(AccessConfig(), {KEYS_VARIABLE: f"ann:{KEY}"})
    assert KEY not in str(caught.value)


async def test_without_a_key_nothing_is_answered_but_the_page_and_health(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    generator = answering("7")
    app = api(generator, access={"keys": {"ann": KEY_HASH}})
    async with client(app) as caller:
        for path in ("/v1/solve", "/v1/solve/batch", "/v1/choose", "/v1/chat/completions", "/page/typeset"):
            response = await caller.post(path, content=b"{not even json", headers={"authorization": "Bearer wrong"})
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["error"]["type"] == "authentication_error"
        assert (await caller.get("/v1/models")).status_code == 401
        assert {(await caller.get(path)).status_code for path in ("/", "/healthz", "/docs", "/openapi.json")} == {200}
    assert not generator.requests
    async with client(app, key=KEY) as caller:
        assert (await caller.post("/v1/solve", json={"question": QUESTION, "num_samples": 1})).status_code == 200
    assert KEY not in caplog.text
    assert KEY_HASH not in caplog.text


def test_an_allowance_is_used_up_and_fills_again() -> None:
    clock = Clock()
    limiter = RateLimiter(AccessConfig(requests_per_minute=2), clock=clock)
    limiter.admit("ann", num_questions=1)
    limiter.admit("ann", num_questions=1)
    with pytest.raises(Refusal) as caught:
        limiter.admit("ann", num_questions=1)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 30)
    limiter.admit("bob", num_questions=1)
    clock.now += 30
    limiter.admit("ann", num_questions=1)


def test_what_goes_beyond_the_allowance_is_owed() -> None:
    clock = Clock()
    limiter = RateLimiter(AccessConfig(requests_per_minute=6), clock=clock)
    limiter.admit("ann", num_questions=12)
    clock.now += 60
    with pytest.raises(Refusal) as caught:
        limiter.admit("ann", num_questions=1)
    assert caught.value.retry_after == 10
    clock.now += 10
    limiter.admit("ann", num_questions=1)


def test_idle_time_saves_up_no_more_than_a_minute() -> None:
    clock = Clock()
    limiter = RateLimiter(AccessConfig(requests_per_minute=1), clock=clock)
    limiter.admit("ann", num_questions=1)
    clock.now += 3_600
    limiter.admit("ann", num_questions=1)
    with pytest.raises(Refusal):
        limiter.admit("ann", num_questions=1)


async def test_tokens_of_both_models_count() -> None:
    clock, generator = Clock(), answering("7")
    settings = config(access={"tokens_per_minute": 20})
    async with client(create_api(solver(generator), settings, clock=clock)) as caller:
        body = {"question": QUESTION, "num_samples": 2}
        first = await caller.post("/v1/solve", json=body)
        second = await caller.post("/v1/solve", json=body)
        usage = first.json()["usage"]["generator"]
        clock.now += 60 * (usage["prompt_tokens"] + usage["completion_tokens"] - 20 + 1) / 20
        third = await caller.post("/v1/solve", json=body)
    assert [response.status_code for response in (first, second, third)] == [200, 429, 200]
    assert int(second.headers["retry-after"]) >= 1


async def test_a_service_mounted_under_a_prefix_asks_for_the_key_and_serves_who_has_one() -> None:
    app = api(answering("7"), access={"keys": {"ann": KEY_HASH}})
    transport = httpx.ASGITransport(app=app, root_path="/solve")
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as caller:
        body = {"question": QUESTION, "num_samples": 1}
        assert (await caller.post("/solve/v1/solve", json=body)).status_code == 401
        key = {"authorization": f"Bearer {KEY}"}
        assert (await caller.post("/solve/v1/solve", json=body, headers=key)).json()["answer"] == "7"
        refused = await caller.post("/solve/v1/chat/completions", json={"model": "m"}, headers=key)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, None)
