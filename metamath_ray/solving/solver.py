"""Sample N solutions, group equal answers, score, choose (arXiv 2310.10047): as events, or at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from metamath_ray.errors import ConfigError
from metamath_ray.inference import CompletionEngine
from metamath_ray.prompts import Renderer
from metamath_ray.solving.events import Event, Solved
from metamath_ray.solving.request import SolveRequest
from metamath_ray.solving.result import Solution
from metamath_ray.solving.run import QuestionRun
from metamath_ray.solving.verifier import Verifier


class Solver:
    """Answers questions with a generator, and a verifier where there is one.

    The engines are expected to have patience of their own (`RetryingEngine`, `RetryingLabelScorer`).
    """

    def __init__(self, *, generator: CompletionEngine, renderer: Renderer, verifier: Verifier | None = None) -> None:
        self._generator = generator
        self._renderer = renderer
        self._verifier = verifier

    async def solve(self, request: SolveRequest) -> Solution:
        """Answer one question; see `events` for the errors."""
        async with aclosing(self.events(request)) as events:
            async for event in events:
                if isinstance(event, Solved):
                    return event.solution
        raise AssertionError("the last event is always Solved")

    async def events(self, request: SolveRequest) -> AsyncGenerator[Event, None]:
        """Answer one question, telling what happens; the last event is `Solved`.

        Closing the iterator, or cancelling who reads it, cancels every call that is open and waits until it is.

        Raises:
            ConfigError: The strategy needs a verifier, and there is none.
            PromptError: The prompt set does not fit the task or the model.
            EngineError: An engine refused the question or is away; there is no answer out of what came before.
        """
        if request.strategy.needs_scores and self._verifier is None:
            raise ConfigError(
                f"strategy {request.strategy.value!r} needs a verifier; without one, ask for majority_vote"
            )
        told: asyncio.Queue[Event | None] = asyncio.Queue()
        run = QuestionRun(
            request,
            generator=self._generator,
            renderer=self._renderer,
            verifier=self._verifier,
            emit=told.put_nowait,
        )
        solving = asyncio.create_task(run.solve())
        solving.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (event := await told.get()) is not None:
                yield event
            yield Solved(solution=solving.result())
        finally:
            solving.cancel()
            await asyncio.gather(solving, return_exceptions=True)
