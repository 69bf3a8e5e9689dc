"""One question from its first sample to its answer; nothing waits for a batch."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from metamath_ray.grading import extract_answer
from metamath_ray.inference import CompletionEngine, CompletionRequest
from metamath_ray.prompts import Renderer, Task
from metamath_ray.reranking import Choice, choose, cluster_answers, next_round, samples_to_score, should_stop
from metamath_ray.solving.events import ClustersChanged, Event, SampleDone, SampleScored
from metamath_ray.solving.request import SolveRequest
from metamath_ray.solving.result import Candidate, Solution, StopReason, Usage, scored_clusters
from metamath_ray.solving.stages import StageClock
from metamath_ray.solving.verifier import Verifier
from metamath_ray.types import AnswerCluster, Completion, FinishReason, SamplingParameters

SOURCE = "unknown"
"""A user's question is of no data set: demonstrations come in the default style."""


class QuestionRun:
    """What is known about one question so far, and the tasks that find out more.

    Everything that decides is looked at by index, at the end of a round: the order in which samples happen to end
    changes the events and nothing else, unless the time limit cuts a round off.
    """

    def __init__(
        self,
        request: SolveRequest,
        *,
        generator: CompletionEngine,
        renderer: Renderer,
        verifier: Verifier | None,
        emit: Callable[[Event], None],
    ) -> None:
        self._request = request
        self._generator = generator
        self._prompt_set_hash = renderer.prompt_set.hash
        self._verifier = verifier if request.strategy.needs_scores else None
        self._emit = emit
        self._prompt = renderer.render(Task.SOLVE, {"question": request.question}, source=SOURCE)
        self._sampling = _with_stop(request.sampling, renderer.prompt_set.stop(Task.SOLVE))
        self._clock = StageClock()
        self._num_started = 0
        self._unread: dict[int, Completion] = {}
        self._reading = asyncio.Lock()
        self._candidates: dict[int, Candidate] = {}
        self._clusters: list[AnswerCluster] = []
        self._num_clustered = 0
        self._clustering = asyncio.Lock()
        self._judging: dict[str, asyncio.Task[None]] = {}
        self._scores: dict[str, float] = {}
        self._told: set[int] = set()
        self._generator_usage, self._verifier_usage = Usage(), Usage()

    async def solve(self) -> Solution:
        """Sample, score and choose, until sure, done or out of time.

        Raises:
            EngineError: The first error of an engine; everything else of this question is cancelled.
        """
        limit = asyncio.timeout(self._request.time_limit_seconds)
        try:
            async with limit:
                stop_reason = await self._rounds()
        except TimeoutError:
            if not limit.expired():
                raise
            stop_reason = StopReason.DEADLINE
        return self._solution(stop_reason)

    async def _rounds(self) -> StopReason:
        try:
            async with asyncio.TaskGroup() as tasks:
                while self._num_started < self._request.num_samples:
                    await self._round(tasks)
                    if self._is_settled():
                        return StopReason.CONFIDENT
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return StopReason.ALL_SAMPLES

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Draw a round's samples, group their answers and score what the strategy needs."""
        first, size = self._num_started, self._round_size()
        self._num_started += size
        await asyncio.wait([tasks.create_task(self._sample(tasks, index)) for index in range(first, first + size)])
        if self._verifier is None:
            return
        for index in samples_to_score(self._clusters, self._request.strategy, num_clusters=self._request.num_clusters):
            self._want_score(tasks, self._verifier, index)
        if pending := [task for task in self._judging.values() if not task.done()]:
            await asyncio.wait(pending)

    def _round_size(self) -> int:
        adaptive, num_samples = self._request.adaptive, self._request.num_samples
        if adaptive is None:
            return num_samples
        return next_round(self._num_started, min_samples=adaptive.min_samples, num_samples=num_samples)

    def _is_settled(self) -> bool:
        """Whether the rest of the samples may be saved."""
        request = self._request
        if request.adaptive is None or self._num_started >= request.num_samples:
            return False
        return should_stop(
            self._clusters,
            self._choice(),
            request.strategy,
            num_drawn=self._num_started,
            num_samples=request.num_samples,
            confidence=request.adaptive.confidence,
        )

    async def _sample(self, tasks: asyncio.TaskGroup, index: int) -> None:
        """Draw a sample, read it and group its answer with the others."""
        asked = CompletionRequest(prompt=self._prompt, sampling=self._sampling, seed=self._request.sample_seed(index))
        with self._clock.stage("sampling"):
            completion = await self._generator.complete(asked)
        self._unread[index] = completion
        self._generator_usage += Usage(
            num_requests=1,
            num_prompt_tokens=completion.num_prompt_tokens,
            num_completion_tokens=completion.num_completion_tokens,
        )
        await self._read(tasks)
        await self._cluster()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        """Read what has ended, off the event loop; of those who wait, one does it for all.

        Where the strategy scores whatever votes, scores are asked for at once.
        """
        async with self._reading:
            unread, self._unread = self._unread, {}
            if not unread:
                return
            read = await asyncio.to_thread(lambda: [_candidate(index, unread[index]) for index in sorted(unread)])
        for candidate in read:
            self._candidates[candidate.index] = candidate
            self._emit(SampleDone(candidate=candidate))
            if self._verifier and candidate.votes and not self._request.strategy.needs_top_clusters_alone:
                self._want_score(tasks, self._verifier, candidate.index)

    async def _cluster(self) -> None:
        """Group the answers that there are, off the event loop; of those who wait, one does it for all."""
        async with self._clustering:
            if self._num_clustered == len(self._candidates):
                return
            done = dict(self._candidates)
            answers = [done[index].answer if index in done else None for index in range(self._num_started)]
            with self._clock.stage("clustering"):
                self._clusters = await asyncio.to_thread(cluster_answers, answers)
            self._num_clustered = len(done)
        self._tell_clusters()

    def _tell_clusters(self) -> None:
        self._emit(ClustersChanged(clusters=scored_clusters(self._clusters, self._choice(), self._known_scores())))

    def _want_score(self, tasks: asyncio.TaskGroup, verifier: Verifier, index: int) -> None:
        """Have a solution scored, unless its text has been, or is being."""
        text = self._candidates[index].text
        if text not in self._judging:
            self._judging[text] = tasks.create_task(self._judge(verifier, text))
        elif text in self._scores:
            self._tell_score(text)

    async def _judge(self, verifier: Verifier, text: str) -> None:
        with self._clock.stage("scoring"):
            judgement = await verifier.score(self._request.question, text)
        self._scores[text] = judgement.score
        self._verifier_usage += Usage(
            num_requests=1, num_prompt_tokens=judgement.num_prompt_tokens, num_completion_tokens=1
        )
        self._tell_score(text)
        self._tell_clusters()

    def _tell_score(self, text: str) -> None:
        """Tell the score of a text for each candidate that consists of it, once."""
        for index, candidate in sorted(self._candidates.items()):
            if candidate.text == text and candidate.votes and index not in self._told:
                self._told.add(index)
                self._emit(SampleScored(index=index, score=self._scores[text]))

    def _known_scores(self) -> dict[int, float]:
        """Return the scores of what votes, by index, as far as they have come in."""
        voting = ((index, found.text) for index, found in self._candidates.items() if found.votes)
        return {index: self._scores[text] for index, text in voting if text in self._scores}

    def _choice(self) -> Choice:
        return choose(
            self._clusters,
            self._known_scores(),
            self._request.strategy,
            num_clusters=self._request.num_clusters,
            num_best=self._request.num_best,
        )

    def _solution(self, stop_reason: StopReason) -> Solution:
        choice, scores, verifier = self._choice(), self._known_scores(), self._verifier
        candidates = tuple(replace(found, score=scores.get(index)) for index, found in sorted(self._candidates.items()))
        num_drawn = len(candidates)
        return Solution(
            answer=None if choice.cluster is None else self._clusters[choice.cluster].answer,
            no_answer_reason=_no_answer_reason(candidates) if choice.cluster is None else None,
            solution=None if choice.sample is None else self._candidates[choice.sample].text,
            chosen=choice.sample,
            confidence=choice.confidence,
            clusters=scored_clusters(self._clusters, choice, scores),
            candidates=candidates,
            stop_reason=stop_reason,
            num_samples_drawn=num_drawn,
            num_samples_cancelled=self._num_started - num_drawn,
            num_samples_saved=self._request.num_samples - self._num_started,
            num_verifier_calls_saved=num_drawn - len(self._judging) if verifier else 0,
            generator_usage=self._generator_usage,
            verifier_usage=self._verifier_usage,
            seconds=self._clock.seconds("sampling", "clustering", "scoring"),
            generator_model=self._generator.model,
            verifier_model=verifier.model if verifier else None,
            prompt_set_hash=self._prompt_set_hash,
            verifier_prompt_hash=verifier.prompt_hash if verifier else None,
        )


def _with_stop(sampling: SamplingParameters, stop: tuple[str, ...]) -> SamplingParameters:
    return replace(sampling, stop=tuple(dict.fromkeys((*sampling.stop, *stop))))


def _candidate(index: int, completion: Completion) -> Candidate:
    """Read a completion; whether its answer can vote, the clustering itself says."""
    text = completion.text.strip()
    answer = None if completion.is_truncated else extract_answer(text)
    return Candidate(
        index=index,
        text=text,
        answer=answer,
        score=None,
        finish_reason=completion.finish_reason,
        seed=completion.seed,
        num_tokens=completion.num_completion_tokens,
        votes=bool(cluster_answers([answer])),
    )


def _no_answer_reason(candidates: tuple[Candidate, ...]) -> str:
    """Say why nothing votes."""
    if not candidates:
        return "no sample ended within the time limit"
    if any(found.votes for found in candidates):
        return "the time limit came before the answers were compared; allow more time (time_limit_seconds)"
    num_truncated = sum(found.finish_reason is not FinishReason.STOP for found in candidates)
    if num_truncated == len(candidates):
        return "every sample was truncated; allow more tokens (max_tokens)"
    return f"no sample states an answer that can be read ({num_truncated} of {len(candidates)} were truncated)"
