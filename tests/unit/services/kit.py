"""The service over scripted engines: what its tests share."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from functools import cache
from itertools import cycle
from typing import Any

import httpx
from fastapi import FastAPI

from metamath_ray.config import SolveConfig
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import EngineError
from metamath_ray.inference.protocol import LabelRequest
from metamath_ray.inference.scripted import ScriptedEngine, ScriptedLabelScorer
from metamath_ray.prompts import Renderer, VerifierRenderer, load_prompt_set, load_tokenizer, load_verifier_prompt
from metamath_ray.prompts.tokenizer import Tokenizer
from metamath_ray.solving import Event, Solver, SolveRequest, Verifier
from services.solve.routes import create_api

QUESTION = "Ann has 3 pears and buys 4 more. How many pears has she?"
KEY = "correct horse battery staple"
KEY_HASH = hashlib.sha256(KEY.encode()).hexdigest()
Script = Callable[[LabelRequest], float | EngineError]


@cache
def tokenizer() -> Tokenizer:
    """The embedded models' tokenizer."""
    return load_tokenizer(str(checkpoint_path("teacher")))


def solution(answer: str) -> str:
    return f"Let us count.\nThe answer is: {answer}"


def engine(*replies: str | EngineError, delay_seconds: float = 0.0) -> ScriptedEngine:
    """An engine that gives the replies in turn, over and over."""
    turn = cycle(replies)
    return ScriptedEngine(lambda _: next(turn), delay_seconds=delay_seconds)


def answering(*answers: str, delay_seconds: float = 0.0) -> ScriptedEngine:
    return engine(*map(solution, answers), delay_seconds=delay_seconds)


def solver(generator: ScriptedEngine, script: Script | None = None) -> Solver:
    """A real solver; its verifier, if a script is given, gives p(correct) by it."""
    verifier = None
    if script is not None:
        renderer = VerifierRenderer(load_verifier_prompt("paper"), tokenizer())
        verifier = Verifier(ScriptedLabelScorer(script), renderer)
    return Solver(generator=generator, renderer=Renderer(load_prompt_set("embedded"), tokenizer()), verifier=verifier)


def config(*, has_verifier: bool = False, **settings: Any) -> SolveConfig:  # noqa: ANN401
    verifier = {"model": "embedded:verifier"} if has_verifier else None
    return SolveConfig.model_validate({"verifier": verifier, **settings})


def api(generator: ScriptedEngine, script: Script | None = None, **settings: Any) -> FastAPI:  # noqa: ANN401
    return create_api(solver(generator, script), config(has_verifier=script is not None, **settings))


def client(app: FastAPI, *, key: str | None = None) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service", headers=headers)


def events(text: str) -> list[tuple[str, Any]]:
    """Read server-sent events strictly: each is a name, one line of data, and an empty line."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


class Broken:
    """A solver that fails with what nobody expects, before or after its first event."""

    def __init__(self, error: Exception, *, after: Event | None = None) -> None:
        self._error = error
        self._after = after

    async def events(self, request: SolveRequest) -> AsyncGenerator[Event, None]:
        if self._after is not None:
            yield self._after
        raise self._error


class Caller:
    """A client that can hang up: one request, straight to the application."""

    def __init__(self, app: FastAPI, path: str, body: dict[str, Any], **headers: str) -> None:
        self._body = json.dumps(body).encode()
        self._is_sent = False
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")]
            + [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self._app = app
        self.has_left = asyncio.Event()
        self.messages: list[Any] = []

    async def call(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._is_sent:
            self._is_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:  # noqa: ANN401
        self.messages.append(message)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what must come; the test's own time limit ends a wait in vain."""
    while not is_so():  # noqa: ASYNC110  (a scripted engine's counters tell nobody)
        await asyncio.sleep(0.001)
