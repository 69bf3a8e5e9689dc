"""One question through the service: its turn, the solver's events as they go over the wire, and what they cost."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from starlette.types import Scope

from metamath_ray.config import SolveConfig
from metamath_ray.solving import ClustersChanged, Event, SampleDone, SampleScored, Solved, SolveRequest
from services.solve import schemas
from services.solve.access import RateLimiter
from services.solve.admission import Admission
from services.solve.errors import request_id
from services.solve.limits import check_candidates, check_knobs, check_questions
from services.solve.monitor import Monitor
from services.solve.translation import Asked, candidate, clusters, num_tokens, solve_request, solve_response

MIN_SECONDS_TO_SOLVE = 0.001
"""What is left of its time to a question whose turn came in the last moment."""


class SolverLike(Protocol):
    """What the service needs of a solver."""

    def events(self, request: SolveRequest) -> AsyncGenerator[Event, None]:
        """Solve, telling what happens; closing the generator cancels all its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent:
    """An event as it is sent: "sample", "clusters", "score", or "answer", which is the last."""

    name: str
    data: schemas.WireModel


class SolveService:
    """Solves questions, as many at once as the limits allow, and keeps account."""

    def __init__(
        self, solver: SolverLike, config: SolveConfig, *, monitor: Monitor, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self.admission = Admission(config.limits, monitor=monitor, clock=clock)
        self.limiter = RateLimiter(config.access, clock=clock)
        self._solver = solver
        self._monitor = monitor

    def let_in(self, questions: Sequence[str], knobs: schemas.SolveKnobs, scope: Scope) -> list[Asked]:
        """Check a request, and refuse at once what cannot be served.

        Raises:
            Refusal: 422 beyond the limits, 503 when the queue is full, 429 when the caller's allowance is used up.
        """
        check_knobs(knobs, self.config)
        check_questions(questions, self.config)
        self.admission.require(len(questions))
        caller, identity = scope["state"]["caller"], request_id(scope)
        self.limiter.admit(caller, num_questions=len(questions))
        names = [identity] if len(questions) == 1 else [f"{identity}-{number}" for number in range(len(questions))]
        return [
            Asked(id=name, caller=caller, request=solve_request(question, knobs, self.config))
            for name, question in zip(names, questions, strict=True)
        ]

    @asynccontextmanager
    async def turn(self, body: schemas.ChooseBody, scope: Scope) -> AsyncIterator[None]:
        """Hold a place for work of our own, which counts as a question.

        Raises:
            Refusal: As `let_in`.
        """
        check_candidates(body, self.config)
        self.limiter.admit(scope["state"]["caller"], num_questions=1)
        async with self.admission.slot(longest_wait_seconds=self.config.limits.default_time_limit_seconds):
            yield

    async def events(self, asked: Asked) -> AsyncGenerator[WireEvent, None]:
        """Solve a question in its turn; its time limit counts from now. Closing the generator cancels all its work.

        Raises:
            Refusal: 503: no turn in time.
            MetamathRayError: The solver's.
        """
        limit = asked.request.time_limit_seconds
        async with self.admission.slot(longest_wait_seconds=limit) as queue_seconds:
            rest = max(MIN_SECONDS_TO_SOLVE, limit - queue_seconds)
            request = replace(asked.request, time_limit_seconds=rest)
            async with aclosing(self._solver.events(request)) as events:
                charged = 0
                async for event in events:
                    sent = self._on_the_wire(event, asked, queue_seconds)
                    charged += self._charge(sent, asked.caller, charged)
                    yield sent

    async def answer(self, asked: Asked) -> schemas.SolveResponse:
        """Solve a question to its end; candidates included."""
        async with aclosing(self.events(asked)) as events:
            async for event in events:
                if isinstance(event.data, schemas.SolveResponse):
                    return event.data
        raise RuntimeError("the solver ended without an answer")

    def _on_the_wire(self, event: Event, asked: Asked, queue_seconds: float) -> WireEvent:
        match event:
            case SampleDone():
                return WireEvent(name="sample", data=candidate(event.candidate))
            case ClustersChanged():
                return WireEvent(name="clusters", data=schemas.ClusterList(clusters=clusters(event.clusters)))
            case SampleScored():
                return WireEvent(name="score", data=schemas.SampleScore(index=event.index, score=event.score))
            case Solved():
                self._monitor.solved(event.solution, queue_seconds=queue_seconds)
                return WireEvent(name="answer", data=solve_response(event.solution, asked, queue_seconds=queue_seconds))

    def _charge(self, event: WireEvent, caller: str, charged: int) -> int:
        """Count tokens as samples come, so that who hangs up has paid for them; the answer brings the rest."""
        tokens = 0
        if isinstance(event.data, schemas.Candidate):
            tokens = event.data.tokens
        elif isinstance(event.data, schemas.SolveResponse):
            tokens = max(0, num_tokens(event.data.usage) - charged)
        self.limiter.charge(caller, num_tokens=tokens)
        return tokens
