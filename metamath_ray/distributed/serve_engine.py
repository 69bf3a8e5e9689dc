"""A Ray Serve deployment as a `CompletionEngine`: samples that are asked for together are one call."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from metamath_ray.distributed.serve_answers import DEPLOYMENT_NAME, accepted, unavailable
from metamath_ray.errors import EngineUnavailable, RequestRejected
from metamath_ray.inference.openai_compatible import finish_reason
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.types import Completion, RenderedPrompt, SamplingParameters

_Wanted = tuple[RenderedPrompt, SamplingParameters]
"""What the samples of a prompt have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which samples share a call. A call of Serve's costs more than a short sample in it.

    Attributes:
        mixes_prompts: Whether samples of different prompts may. A call is cancelled when nobody waits for any of its
            samples: prompts that are given up one by one need calls of their own.
        asking_seconds: How long the first sample of a call waits for others; 0: until all who are awake have asked.
        longest_wait_seconds: How long a sample that ended waits at most, at the replica, for others of its call.
        max_samples: A call with so many waits for no more, so that work spreads over replicas.
    """

    mixes_prompts: bool
    asking_seconds: float
    longest_wait_seconds: float
    max_samples: int


FOR_ANSWERS = Grouping(mixes_prompts=False, asking_seconds=0.0, longest_wait_seconds=1.0, max_samples=1024)
"""Somebody waits for the samples of a prompt."""
FOR_RUNS = Grouping(mixes_prompts=True, asking_seconds=0.2, longest_wait_seconds=0.25, max_samples=32)
"""Nobody waits for any one sample, as long as the engine has enough of them."""


@dataclass(slots=True)
class _Call:
    """Samples that travel together, and what will have come of each."""

    prompts: dict[_Wanted, int] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    samples: list[tuple[int, int]] = field(default_factory=list)
    answers: list["asyncio.Future[dict[str, Any]]"] = field(default_factory=list)

    def add(self, wanted: _Wanted, asked: dict[str, Any], seed: int) -> "asyncio.Future[dict[str, Any]]":
        place = self.prompts.setdefault(wanted, len(self.asked))
        if place == len(self.asked):
            self.asked.append(asked)
        answer = asyncio.get_running_loop().create_future()
        self.samples.append((place, seed))
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


class ServeEngine:
    """Calls `CompletionServer.complete_all` over a deployment handle, which balances over the replicas.

    For whoever asks, each sample comes back when it ends, fails for itself, and may be cancelled.
    """

    def __init__(
        self,
        *,
        application: str,
        model: str,
        timeout_seconds: float,
        grouping: Grouping,
        max_model_len: int | None = None,
    ) -> None:
        self._model = model
        self._max_model_len = max_model_len
        self._timeout_seconds = timeout_seconds
        self._grouping = grouping
        self._handle = serve.get_deployment_handle(DEPLOYMENT_NAME, application).options(stream=True)
        self._gathering: dict[_Wanted | None, _Call] = {}
        self._running: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Sample one completion; see `CompletionEngine.complete` for the errors."""
        waiting = self._add(request)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = accepted(await waiting)
        except TimeoutError as error:
            raise EngineUnavailable(f"no answer within {self._timeout_seconds:.0f} s") from error
        return Completion(
            text=answer["text"],
            finish_reason=finish_reason(answer["finish_reason"]),
            num_prompt_tokens=answer["num_prompt_tokens"],
            num_completion_tokens=answer["num_completion_tokens"],
            seed=request.seed,
            model=self._model,
        )

    def _add(self, request: CompletionRequest) -> "asyncio.Future[dict[str, Any]]":
        """Add a sample to the call that is being gathered."""
        wanted, asked = (request.prompt, request.sampling), self._asked(request)
        key = None if self._grouping.mixes_prompts else wanted
        if key not in self._gathering:
            self._gathering[key] = _Call()
            asyncio.get_running_loop().call_later(self._grouping.asking_seconds, self._send, key, self._gathering[key])
        call = self._gathering[key]
        answer = call.add(wanted, asked, request.seed)
        if len(call.samples) >= self._grouping.max_samples:
            self._send(key, call)
        return answer

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        """Return what all samples of a prompt have in common, as the replica takes it."""
        if request.prompt.token_ids is None:
            raise RequestRejected("the Serve engine takes token ids, and this prompt was rendered as chat messages")
        token_ids = list(request.prompt.token_ids)
        return {
            "prompt_token_ids": token_ids,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "max_tokens": self._max_tokens(request, len(token_ids)),
            "stop": list(request.sampling.stop),
        }

    def _max_tokens(self, request: CompletionRequest, num_prompt_tokens: int) -> int:
        """Return the wanted length, or what the model's context leaves of it: such a completion ends as truncated."""
        if self._max_model_len is None:
            return request.sampling.max_tokens
        room = self._max_model_len - num_prompt_tokens
        if room < 1:
            raise RequestRejected(
                f"the prompt has {num_prompt_tokens} tokens, and the model holds {self._max_model_len} with the answer"
            )
        return min(request.sampling.max_tokens, room)

    def _send(self, key: _Wanted | None, call: _Call) -> None:
        """Send a call that is still being gathered; one that was full has gone before its time."""
        if self._gathering.get(key) is not call:
            return
        del self._gathering[key]
        if call.is_done():
            return
        running = asyncio.create_task(self._run(call))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

        def cancel_if_alone(answer: "asyncio.Future[dict[str, Any]]") -> None:
            if answer.cancelled() and call.is_done():
                running.cancel()

        for answer in call.answers:
            answer.add_done_callback(cancel_if_alone)

    async def _run(self, call: _Call) -> None:
        """Hand out what a replica answers; whatever ends the call before that is an engine that is away."""
        response = self._handle.complete_all.remote(
            prompts=call.asked, samples=call.samples, longest_wait_seconds=self._grouping.longest_wait_seconds
        )
        try:
            async for ended in response:
                for place, answer in ended:
                    if not call.answers[place].done():
                        call.answers[place].set_result(answer)
            call.fail(EngineUnavailable("the replica ended the call"))
        except asyncio.CancelledError:
            response.cancel()
            call.fail(EngineUnavailable("the replica cancelled the call"))
        except (RayError, RayServeException) as error:
            call.fail(unavailable(error))
        except Exception as error:  # nobody else would hear of it
            call.fail(error)
