"""Replicas that take as long as vLLM does and compute nothing, in a time that jumps from one event to the next."""

import asyncio
import heapq
import random
import selectors
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from metamath_ray.inference import CompletionRequest
from metamath_ray.types import Completion, FinishReason

SOLUTION_TOKENS, REWRITE_TOKENS = 180, 60
"""Means; MetaMathQA's responses have about as many."""
SPREAD = 4.0
"""Shape of the gamma distribution of lengths: its standard deviation is half the mean."""
WORDS = (
    "each",
    "the",
    "of",
    "and",
    "so",
    "is",
    "total",
    "left",
    "sold",
    "apples",
    "gives",
    "equals",
    "per",
    "12",
    "7",
    "348",
)
PROSE = " ".join(random.Random(0).choices(WORDS, k=300_000))
CHARACTERS_A_TOKEN = 4


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is left to do now.

    What would go to a thread is done at once, and takes no virtual time.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self.jump))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ANN401
        """Call it now."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: passes the time that it was to wait on to the clock."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; when nothing is, let the time-out pass."""
        ready = super().select(0)
        if not ready and timeout:
            self._jump(timeout)
        return ready


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """Seconds of one decoding step of a replica with b sequences: `base` + `per_sequence` · b.

    The default goes through the rates of vLLM's engine with `embedded:teacher` on 2 cores, 16 and 128 sequences at
    once (1,364 and 2,388 tokens/s: the service's rates in docs/results.md times its ratio to the engine). A step is
    what every running sequence waits for a token; prompts, which take part of a step in vLLM, are in these rates.
    """

    base: float = 0.0057
    per_sequence: float = 0.000374
    max_num_seqs: int = 128

    def step_seconds(self, num_sequences: int) -> float:
        """Return how long each running sequence waits for its next token."""
        return self.base + self.per_sequence * num_sequences

    @property
    def tokens_per_second(self) -> float:
        """What a full replica makes."""
        return self.max_num_seqs / self.step_seconds(self.max_num_seqs)


class Replica:
    """Decodes all its sequences in step; what it has no room for waits in line."""

    def __init__(self, model: LatencyModel) -> None:
        self._model = model
        self._steps = self._since = self.busy_seconds = 0.0
        self._running: list[tuple[float, int, asyncio.Future[None]]] = []
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self.num_tokens = 0

    @property
    def num_open(self) -> int:
        """Requests that it has."""
        return len(self._running) + len(self._waiting)

    async def generate(self, num_tokens: int) -> None:
        """Return when so many tokens are decoded."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((num_tokens, done))
        self._advance()
        await done

    def _advance(self) -> None:
        """Let the steps since the last event pass, end what is finished, and begin what there is room for."""
        loop = asyncio.get_running_loop()
        if self._running:
            elapsed = loop.time() - self._since
            self._steps += elapsed / self._model.step_seconds(len(self._running))
            self.busy_seconds += elapsed
        self._since = loop.time()
        while self._running and self._running[0][0] <= self._steps + 1e-6:
            _, _, done = heapq.heappop(self._running)
            if not done.done():
                done.set_result(None)
        while self._waiting and len(self._running) < self._model.max_num_seqs:
            num_tokens, done = self._waiting.popleft()
            self.num_tokens += num_tokens
            heapq.heappush(self._running, (self._steps + num_tokens, next(self._number), done))
        self._wake_at_next(loop)

    def _wake_at_next(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._running:
            steps = self._running[0][0] - self._steps
            self._timer = loop.call_later(steps * self._model.step_seconds(len(self._running)), self._advance)


class SimulatedEngine:
    """Asks the emptier of two replicas, as Ray Serve does; replies with words of the length that the seed decides."""

    model = "simulated"

    def __init__(self, replicas: Sequence[Replica], *, solve_max_tokens: int) -> None:
        self._replicas = replicas
        self._solve_max_tokens = solve_max_tokens
        self._chance = random.Random(0)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Take as long as the tokens take."""
        is_solution = request.sampling.max_tokens == self._solve_max_tokens
        chance = random.Random(request.seed)
        mean = SOLUTION_TOKENS if is_solution else REWRITE_TOKENS
        num_tokens = max(8, int(chance.gammavariate(SPREAD, mean / SPREAD)))
        one, other = self._chance.choice(self._replicas), self._chance.choice(self._replicas)
        await min(one, other, key=lambda replica: replica.num_open).generate(num_tokens)
        place, length = chance.randrange(len(PROSE) // 2), CHARACTERS_A_TOKEN * (num_tokens - 6)
        prose = PROSE[place : place + length]
        return Completion(
            text=f"{prose}.\nThe answer is: {chance.randrange(100)}" if is_solution else f"How {prose}?",
            finish_reason=FinishReason.STOP,
            num_prompt_tokens=100,
            num_completion_tokens=num_tokens,
            seed=request.seed,
            model=self.model,
        )
