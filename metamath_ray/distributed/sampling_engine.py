"""A Ray Serve deployment as a `CompletionEngine` for many samples of a prompt: those asked for at once are one call."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME, ServeEngine, accepted, unavailable
from metamath_ray.errors import EngineUnavailable
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.types import Completion, RenderedPrompt, SamplingParameters


@dataclass(slots=True)
class _Group:
    """Samples of one prompt, and what will have come of each."""

    asked: dict[str, Any]
    seeds: list[int] = field(default_factory=list)
    answers: list["asyncio.Future[dict[str, Any]]"] = field(default_factory=list)

    def add(self, seed: int) -> "asyncio.Future[dict[str, Any]]":
        answer = asyncio.get_running_loop().create_future()
        self.seeds.append(seed)
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


class SamplingEngine(ServeEngine):
    """Calls `CompletionServer.complete_all` with what was asked for in one turn of the event loop.

    For whoever asks it is `ServeEngine`: each sample comes back when it ends, fails for itself, and may be cancelled.
    The call is cancelled when nobody waits for any of its samples.
    """

    def __init__(
        self, *, application: str, model: str, timeout_seconds: float, max_model_len: int | None = None
    ) -> None:
        super().__init__(
            application=application, model=model, timeout_seconds=timeout_seconds, max_model_len=max_model_len
        )
        self._streaming = serve.get_deployment_handle(DEPLOYMENT_NAME, application).options(stream=True)
        self._gathering: dict[tuple[RenderedPrompt, SamplingParameters], _Group] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion; see `CompletionEngine.complete` for the errors."""
        answer = self._group(request).add(request.seed)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return self._completion(request, accepted(await answer))
        except TimeoutError as error:
            raise EngineUnavailable(f"no answer within {self._timeout_seconds:.0f} s") from error

    def _group(self, request: CompletionRequest) -> _Group:
        """Return the group that is being gathered, which is sent when all who are awake have asked."""
        key = (request.prompt, request.sampling)
        if key not in self._gathering:
            self._gathering[key] = _Group(self._asked(request))
            asyncio.get_running_loop().call_soon(self._send, key)
        return self._gathering[key]

    def _send(self, key: tuple[RenderedPrompt, SamplingParameters]) -> None:
        group = self._gathering.pop(key)
        if group.is_done():
            return
        call = asyncio.create_task(self._call(group))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

        def cancel_if_alone(answer: "asyncio.Future[dict[str, Any]]") -> None:
            if answer.cancelled() and group.is_done():
                call.cancel()

        for answer in group.answers:
            answer.add_done_callback(cancel_if_alone)

    async def _call(self, group: _Group) -> None:
        """Hand out what a replica answers; whatever ends the call before that is an engine that is away."""
        response = self._streaming.complete_all.remote(seeds=group.seeds, **group.asked)
        try:
            async for ended in response:
                for place, answer in ended:
                    if not group.answers[place].done():
                        group.answers[place].set_result(answer)
            group.fail(EngineUnavailable("the replica ended the call"))
        except asyncio.CancelledError:
            response.cancel()
            group.fail(EngineUnavailable("the replica cancelled the call"))
        except (RayError, RayServeException) as error:
            group.fail(unavailable(error))
        except Exception as error:  # nobody else would hear of it
            group.fail(error)
