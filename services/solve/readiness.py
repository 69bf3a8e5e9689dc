"""Ready is who has answered: a question to all models before anybody else's."""

import asyncio
from contextlib import aclosing

from metamath_ray.errors import MetamathRayError
from metamath_ray.reranking import Strategy
from metamath_ray.solving import Solved, SolveRequest
from metamath_ray.types import SamplingParameters
from services.solve.errors import logger
from services.solve.schemas import QUESTION
from services.solve.service import SolverLike

PATIENCE_SECONDS = 2.0
"""How long a look waits for the canary, which goes on without it."""
CANARY_SECONDS = 120.0
MAX_TOKENS = 256


class Readiness:
    """Asks the solver a canary question until it has been answered once; each look may begin a try, one at a time."""

    def __init__(self, solver: SolverLike, *, strategy: Strategy) -> None:
        self._solver = solver
        self._strategy = strategy
        self._try: asyncio.Task[bool] | None = None
        self._is_ready = False

    async def check(self) -> bool:
        """Say whether the canary was answered."""
        if self._is_ready:
            return True
        if self._try is None or self._try.done():
            self._try = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait((self._try,), timeout=PATIENCE_SECONDS)
        self._is_ready = bool(done) and self._try.result()
        return self._is_ready

    async def _ask(self) -> bool:
        """Have one sample drawn and, where it states an answer, scored; a wrong answer is an answer."""
        request = SolveRequest(
            question=QUESTION,
            num_samples=1,
            strategy=self._strategy,
            sampling=SamplingParameters(temperature=0, max_tokens=MAX_TOKENS),
            time_limit_seconds=CANARY_SECONDS,
        )
        try:
            async with aclosing(self._solver.events(request)) as events:
                found = [event.solution async for event in events if isinstance(event, Solved)]
        except MetamathRayError as error:
            logger.warning("not ready: %s", error)
            return False
        return any(solution.num_samples_drawn for solution in found)
