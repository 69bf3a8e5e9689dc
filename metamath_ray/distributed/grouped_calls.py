"""Requests that are made together travel to a replica as one call of Serve's, and their answers as a few messages."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from metamath_ray.errors import BackPressure, EngineUnavailable, RequestRejected
from metamath_ray.inference.openai_compatible import SERVER_AT_FAULT

Arguments = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which requests share a call. A call costs Serve more than a short request costs vLLM.

    Attributes:
        mixes_prompts: Whether requests with different prompts may. A call is cancelled when nobody waits for any of its
            requests: prompts that are given up one by one need calls of their own.
        asking_seconds: How long the first request of a call waits for others while other calls are under way; else, and
            with 0, it waits until all who are awake have asked.
        longest_wait_seconds: How long an answer waits at most, at the replica, for others of its call.
        max_requests: A call with so many waits for no more, so that work spreads over replicas.
    """

    mixes_prompts: bool
    asking_seconds: float
    longest_wait_seconds: float
    max_requests: int


FOR_SAMPLES = Grouping(mixes_prompts=False, asking_seconds=0.0, longest_wait_seconds=1.0, max_requests=1024)
"""Somebody waits for the samples of a question."""
FOR_SCORES = Grouping(mixes_prompts=True, asking_seconds=0.0, longest_wait_seconds=0.05, max_requests=8)
"""Somebody waits for the scores of a question's solutions, which are soon made and seldom given up."""
FOR_RUNS = Grouping(mixes_prompts=True, asking_seconds=0.2, longest_wait_seconds=0.25, max_requests=32)
"""Nobody waits for any one answer, as long as the engine has enough to do."""


@dataclass(slots=True)
class _Call:
    """Requests that travel together, and what will have come of each."""

    places: dict[Any, int] = field(default_factory=dict)
    shared: list[Arguments] = field(default_factory=list)
    requests: list[tuple[int, Arguments]] = field(default_factory=list)
    answers: list["asyncio.Future[Answer]"] = field(default_factory=list)

    def add(self, prompt: Any, shared: Arguments, own: Arguments) -> "asyncio.Future[Answer]":  # noqa: ANN401
        place = self.places.setdefault(prompt, len(self.shared))
        if place == len(self.shared):
            self.shared.append(shared)
        answer = asyncio.get_running_loop().create_future()
        self.requests.append((place, own))
        self.answers.append(answer)
        return answer

    def is_done(self) -> bool:
        """Whether nobody waits for any of them."""
        return all(answer.done() for answer in self.answers)

    def fail(self, error: Exception) -> None:
        """Give all that have no answer the error."""
        for answer in self.answers:
            if not answer.done():
                answer.set_exception(error)


class GroupedCalls:
    """Calls `CompletionServer.answer_all` over a deployment handle, which balances over the replicas.

    For whoever asks, each request is answered when its answer is there, fails for itself, and may be given up; vLLM
    ends its work on those of a call when all of them are.
    """

    def __init__(
        self,
        method: Literal["complete", "label_logprobs"],
        *,
        deployment: str,
        application: str,
        grouping: Grouping,
        timeout_seconds: float,
    ) -> None:
        """Connect to a deployment.

        Args:
            method: Of `CompletionServer`; answers one request.
            timeout_seconds: Of a request, from when it is asked.
        """
        self._method = method
        self._grouping = grouping
        self._timeout_seconds = timeout_seconds
        self._handle = serve.get_deployment_handle(deployment, application).options(stream=True)
        self._gathering: dict[Any, _Call] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, prompt: Any, shared: Arguments, own: Arguments) -> Answer:  # noqa: ANN401
        """Have the method answer one request.

        Args:
            prompt: Hashable; what `shared` follows from.
            shared: Arguments that requests with this prompt have in common; they travel once.
            own: This request's.

        Raises:
            RequestRejected: The engine refused the request.
            EngineUnavailable: It is at fault, or did not answer in time.
            BackPressure: It is full.
        """
        waiting = self._add(prompt, shared, own)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return _accepted(await waiting)
        except TimeoutError as error:
            raise EngineUnavailable(f"no answer within {self._timeout_seconds:.0f} s") from error

    def _add(self, prompt: Any, shared: Arguments, own: Arguments) -> "asyncio.Future[Answer]":  # noqa: ANN401
        """Add a request to the call that is being gathered."""
        key = None if self._grouping.mixes_prompts else prompt
        if (call := self._gathering.get(key)) is None:
            call = self._gathering[key] = _Call()
            wait_seconds = self._grouping.asking_seconds if self._running else 0.0
            asyncio.get_running_loop().call_later(wait_seconds, self._send, key, call)
        answer = call.add(prompt, shared, own)
        if len(call.requests) >= self._grouping.max_requests:
            self._send(key, call)
        return answer

    def _send(self, key: Any, call: _Call) -> None:  # noqa: ANN401
        """Send a call that is still being gathered; one that was full has gone before its time."""
        if self._gathering.get(key) is not call:
            return
        del self._gathering[key]
        if call.is_done():
            return
        running = asyncio.create_task(self._run(call))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

        def cancel_if_alone(answer: "asyncio.Future[Answer]") -> None:
            if answer.cancelled() and call.is_done():
                running.cancel()

        for answer in call.answers:
            answer.add_done_callback(cancel_if_alone)

    async def _run(self, call: _Call) -> None:
        """Hand out what a replica answers; whatever ends the call before that is an engine that is away."""
        response = None
        try:
            response = self._handle.answer_all.remote(
                self._method, call.shared, call.requests, longest_wait_seconds=self._grouping.longest_wait_seconds
            )
            async for message in response:
                for place, answer in message:
                    if not call.answers[place].done():
                        call.answers[place].set_result(answer)
            call.fail(EngineUnavailable("the replica ended the call"))
        except asyncio.CancelledError:
            if response:
                response.cancel()
            call.fail(EngineUnavailable("the replica cancelled the call"))
        except (RayError, RayServeException) as error:
            call.fail(_unavailable(error))
        except Exception as error:  # nobody else would hear of it
            call.fail(error)


def _accepted(answer: Answer) -> Answer:
    """Return what a replica answered, unless it says that it cannot."""
    if "code" in answer:
        kind = EngineUnavailable if answer["code"] >= SERVER_AT_FAULT else RequestRejected
        raise kind(f"{answer['code']}: {answer['message'][:300]}")
    return answer


def _unavailable(error: Exception) -> EngineUnavailable:
    """Say what kept a call from being answered."""
    return BackPressure(str(error)) if isinstance(error, BackPressureError) else EngineUnavailable(_first_line(error))


def _first_line(error: Exception) -> str:
    """Name what went wrong on the replica, without its traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = str(cause).strip()
    return f"{type(cause).__name__}: {text.splitlines()[0][:300] if text else ''}"
