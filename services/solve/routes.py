"""The service's HTTP interface, over any solver; no Ray here."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from metamath_ray import __version__
from metamath_ray.config import SolveConfig
from metamath_ray.errors import MetamathRayError
from services.solve import schemas
from services.solve.access import KeyRing
from services.solve.choosing import choose_among
from services.solve.connection import while_connected
from services.solve.envelope import REQUEST_ID_HEADER, Envelope, Gate
from services.solve.errors import JsonResponse, error_body, handle_error, refusal, to_json
from services.solve.limits import default_strategy
from services.solve.monitor import Monitor, Silent
from services.solve.openai_api import openai_router
from services.solve.openapi import ERRORS, SOLVE_RESPONSE, describe
from services.solve.readiness import Readiness
from services.solve.schemas import dump
from services.solve.service import SolverLike, SolveService
from services.solve.site import site_router
from services.solve.stream import EventStream, frame
from services.solve.translation import Asked, without_candidates

TITLE = "metamath-ray solve"
DESCRIPTION = "A question is solved several times over; equal answers are put together, and the strongest group wins."


def create_api(
    solver: SolverLike,
    config: SolveConfig,
    *,
    monitor: Monitor | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Build the application.

    Args:
        solver: Who solves; its errors become responses.
        config: Limits, access, defaults.
        monitor: Told of requests and answers.
        clock: Seconds, for the rates and the queue.
    """
    watching = monitor or Silent()
    service = SolveService(solver, config, monitor=watching, clock=clock)
    api = FastAPI(title=TITLE, description=DESCRIPTION, version=__version__, docs_url=None, redoc_url=None)
    for kind in (HTTPException, RequestValidationError, MetamathRayError):
        api.add_exception_handler(kind, handle_error)
    api.include_router(_solve_router(service))
    api.include_router(openai_router(service))
    api.include_router(_health_router(Readiness(solver, strategy=default_strategy(config))))
    api.include_router(site_router(api))
    describe(api, config)
    _surround(api, config, watching)
    return api


def _surround(api: FastAPI, config: SolveConfig, monitor: Monitor) -> None:
    """Put the layers around the routes; the last one added is the outermost."""
    api.add_middleware(Gate, keys=KeyRing(config.access.keys), max_body_bytes=config.limits.max_body_bytes)
    if config.access.cors_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=config.access.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", REQUEST_ID_HEADER],
            expose_headers=[REQUEST_ID_HEADER, "retry-after"],
        )
    api.add_middleware(Envelope, monitor=monitor)


def _solve_router(service: SolveService) -> APIRouter:
    router = APIRouter(tags=["Solve"], responses=ERRORS)

    @router.post("/v1/solve", responses={200: SOLVE_RESPONSE}, summary="Solve one question")
    async def solve(body: schemas.SolveBody, request: Request) -> Response:
        """Samples solutions, groups equal answers, has a verifier score them, and chooses.

        No answer at all is no error: `answer` is null then, and `no_answer_reason` says why.

        With `Accept: text/event-stream` the same as it happens: `sample`, `clusters`, `score`, and at the end `answer`,
        the whole response with its candidates, or `error`. Whoever closes the connection ends the work.
        """
        (asked,) = service.let_in([body.question], body, request.scope)
        if "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(lambda: _frames(service, asked))
        solved = await while_connected(request.receive, service.answer(asked))
        return JsonResponse(dump(solved if body.include_candidates else without_candidates(solved)))

    @router.post("/v1/solve/batch", response_model=schemas.BatchResponse, summary="Solve several questions")
    async def solve_batch(body: schemas.BatchBody, request: Request) -> Response:
        """Each question takes its turn; one that fails leaves its error in its place."""
        batch = service.let_in(body.questions, body, request.scope)
        results = await while_connected(request.receive, _outcomes(service, batch, body))
        return JsonResponse(dump(schemas.BatchResponse(results=results)))

    @router.post("/v1/choose", response_model=schemas.ChooseResponse, summary="Choose among given answers")
    async def choose(body: schemas.ChooseBody, request: Request) -> Response:
        """Groups and ranks answers that are there already, by any strategy; no model is asked."""
        async with service.turn(body, request.scope):
            return JsonResponse(dump(await asyncio.to_thread(choose_among, body)))

    return router


async def _frames(service: SolveService, asked: Asked) -> AsyncGenerator[bytes, None]:
    async with aclosing(service.events(asked)) as events:
        async for event in events:
            yield frame(to_json(dump(event.data)), event=event.name)


async def _outcomes(
    service: SolveService, batch: Sequence[Asked], body: schemas.BatchBody
) -> list[schemas.SolveResponse | schemas.ErrorBody]:
    return await asyncio.gather(*(_outcome(service, asked, body) for asked in batch))


async def _outcome(
    service: SolveService, asked: Asked, body: schemas.BatchBody
) -> schemas.SolveResponse | schemas.ErrorBody:
    """Solve a question of a batch; its error is its result."""
    try:
        solved = await service.answer(asked)
    except Exception as error:
        said = error_body(refusal(error, request_id=asked.id), request_id=asked.id)
        return schemas.ErrorBody.model_validate(said)
    return solved if body.include_candidates else without_candidates(solved)


def _health_router(readiness: Readiness) -> APIRouter:
    router = APIRouter(tags=["Health"])

    @router.get("/healthz", response_model=schemas.Health, summary="Whether the service is alive")
    async def healthz() -> Response:
        return JsonResponse(dump(schemas.Health(status="ok")))

    @router.get(
        "/readyz",
        response_model=schemas.Health,
        responses={503: {"model": schemas.Health, "description": "Not yet"}},
        summary="Whether the models have answered",
    )
    async def readyz() -> Response:
        """Ready is who has answered a canary question; looking begins a try."""
        if await readiness.check():
            return JsonResponse(dump(schemas.Health(status="ready")))
        return JsonResponse(dump(schemas.Health(status="starting")), 503, {"retry-after": "1"})

    return router
