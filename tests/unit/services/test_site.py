"""The page, the API's description, health."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from metamath_ray.errors import EngineUnavailable
from metamath_ray.inference import LabelRequest
from metamath_ray.reranking import Strategy
from metamath_ray.solving import Event, SolveRequest
from services.solve.readiness import Readiness
from services.solve.routes import create_api
from services.solve.site import PAGE_FOLDER, read_page
from tests.unit.services.kit import KEY_HASH, Broken, answering, api, client, config, engine, solver

PATHS = ["/", *(f"/page/{name}" for name in read_page() if name != "index.html")]


@pytest.mark.parametrize("path", PATHS)
async def test_the_page_comes_from_here_alone_and_is_kept_until_it_changes(path: str) -> None:
    async with client(api(answering("7"))) as caller:
        response = await caller.get(path)
        again = await caller.get(path, headers={"if-none-match": f'"other", W/{response.headers["etag"]}'})
    name = "index.html" if path == "/" else path.rpartition("/")[2]
    assert response.content == (PAGE_FOLDER / name).read_bytes()
    assert response.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", response.headers["etag"])


@pytest.mark.parametrize(
    "path", ["/page/index.html", "/page/../routes.py", "/page/%2e%2e/routes.py", "/page/", "/page/x.js"]
)
async def test_nothing_else_is_a_file(path: str) -> None:
    async with client(api(answering("7"))) as caller:
        assert (await caller.get(path)).status_code == 404


async def test_the_description_names_every_route_and_needs_no_other_host() -> None:
    async with client(api(answering("7"), access={"keys": {"ann": KEY_HASH}})) as caller:
        page = (await caller.get("/docs")).text
        schema = (await caller.get("/openapi.json")).json()
    assert all(path in page for path in schema["paths"])
    assert "<script" not in page
    assert "http://" not in page + "".join(page.split("https://")[1:])
    assert schema["paths"]["/v1/solve"]["post"]["security"]


async def test_the_schema_has_the_operators_limits() -> None:
    async with client(api(answering("7"), limits={"max_samples": 16, "max_batch": 3})) as caller:
        schemas = (await caller.get("/openapi.json")).json()["components"]["schemas"]
    assert schemas["SolveBody"]["properties"]["num_samples"]["anyOf"][0]["maximum"] == 16
    assert schemas["BatchBody"]["properties"]["questions"]["maxItems"] == 3
    assert schemas["SolveBody"]["properties"]["strategy"]["anyOf"][0]["enum"] == ["majority_vote"]
    assert schemas["SolveBody"]["examples"]


async def test_alive_is_not_ready() -> None:
    async with client(create_api(Broken(EngineUnavailable("starting")), config())) as caller:
        assert (await caller.get("/healthz")).status_code == 200
        ready = await caller.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "starting"})


async def test_ready_is_who_has_answered_once() -> None:
    generator = engine(EngineUnavailable("starting"), "7", EngineUnavailable("died"))
    async with client(api(generator)) as caller:
        found = [(await caller.get("/readyz")).status_code for _ in range(3)]
    assert found == [503, 200, 200]
    assert len(generator.requests) == 2


async def test_the_canary_asks_the_verifier_too() -> None:
    asked: list[LabelRequest] = []

    def judge(request: LabelRequest) -> float:
        asked.append(request)
        return 0.5

    async with client(api(answering("7"), judge)) as caller:
        assert (await caller.get("/readyz")).status_code == 200
    assert len(asked) == 1


async def test_one_canary_at_a_time_which_outlives_who_looked() -> None:
    class Slow:
        def __init__(self) -> None:
            self.num_asked, self.may_end = 0, asyncio.Event()

        async def events(self, request: SolveRequest) -> AsyncGenerator[Event, None]:
            self.num_asked += 1
            await self.may_end.wait()
            async for event in solver(answering("7")).events(request):
                yield event

    slow = Slow()
    readiness = Readiness(slow, strategy=Strategy.MAJORITY_VOTE)
    looks = [asyncio.create_task(readiness.check()) for _ in range(3)]
    await asyncio.sleep(0)
    looks[0].cancel()
    slow.may_end.set()
    assert await looks[1]
    assert slow.num_asked == 1
