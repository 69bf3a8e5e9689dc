"""The solver against engines by script: what votes, what is scored, what is cancelled, and when it stops."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from math import isclose, nan

import pytest

from metamath_ray.errors import ConfigError, EngineUnavailable, RequestRejected
from metamath_ray.inference import CompletionRequest, LabelLogprobs
from metamath_ray.inference.scripted import Reply, ScriptedEngine, ScriptedLabelScorer
from metamath_ray.prompts import Task
from metamath_ray.reranking import AdaptiveSampling, Strategy, cluster_answers
from metamath_ray.solving import (
    ClustersChanged,
    Event,
    SampleDone,
    SampleScored,
    Solution,
    Solved,
    StopReason,
    Verifier,
    run,
)
from metamath_ray.types import AnswerCluster
from tests.unit.solving.questions import (
    QUESTION,
    RENDERER,
    VERIFIER_RENDERER,
    ask,
    cut,
    generator,
    says,
    scorer,
    solver,
)

ADAPTIVE = AdaptiveSampling(min_samples=4, confidence=0.95)


def answers_of(solution: Solution) -> list[tuple[str, tuple[int, ...]]]:
    return [(cluster.answer, cluster.members) for cluster in solution.clusters]


def settled(solution: Solution) -> Solution:
    """Leave out what the clock decides."""
    return replace(solution, seconds={})


async def test_the_most_frequent_answer_wins_over_all_ways_to_write_it() -> None:
    request = ask(num_samples=5)
    engine = generator(request, says("8", "7", "14/2", "9", "7.0"))
    found = await solver(engine).solve(request)
    assert (found.answer, found.chosen, found.stop_reason) == ("7", 1, StopReason.ALL_SAMPLES)
    assert found.solution == says("8", "7")[1]
    assert answers_of(found) == [("7", (1, 2, 4)), ("8", (0,)), ("9", (3,))]
    assert isclose(found.confidence, 3 / 5)
    assert found.generator_usage.num_requests == 5
    assert found.generator_usage.num_prompt_tokens == sum(
        len(asked.prompt.token_ids or ()) for asked in engine.requests
    )
    assert (found.verifier_model, found.verifier_usage.num_requests) == (None, 0)
    assert set(found.seconds) == {"sampling", "clustering", "scoring", "total"}


async def test_what_is_truncated_empty_or_unreadable_never_votes() -> None:
    request = ask(num_samples=6)
    replies: list[Reply] = [
        cut("The answer is: 9"),
        cut("The answer is: 9"),
        "",
        r"The answer is: $\frac{$",
        "The answer is:",
        "So it is 7.\nThe answer is: 7",
    ]
    found = await solver(generator(request, replies)).solve(request)
    assert answers_of(found) == [("7", (5,))]
    assert [candidate.votes for candidate in found.candidates] == [False] * 5 + [True]
    assert found.candidates[0].answer is None
    assert found.confidence == 1.0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (cut("The answer is: 9"), "every sample was truncated"),
        ("The answer is:", "no sample states an answer that can be read (0 of 8 were truncated)"),
    ],
)
async def test_without_a_candidate_there_is_no_answer_and_a_reason(reply: str, reason: str) -> None:
    request = ask()
    found = await solver(generator(request, [reply] * 8)).solve(request)
    assert (found.answer, found.solution, found.chosen, found.confidence) == (None, None, None, 0.0)
    assert found.no_answer_reason is not None
    assert found.no_answer_reason.startswith(reason)
    assert found.num_samples_drawn == 8


async def test_a_prompt_ends_at_the_stop_strings_of_caller_and_prompt_set() -> None:
    request = ask(num_samples=1)
    request = replace(request, sampling=replace(request.sampling, stop=("END",)))
    engine = generator(request, says("7"))
    await solver(engine).solve(request)
    assert engine.requests[0].sampling.stop == ("END", *RENDERER.prompt_set.stop(Task.SOLVE))


async def test_each_distinct_solution_is_scored_once() -> None:
    request = ask(num_samples=6, strategy=Strategy.WEIGHTED_VOTE)
    same, other = says("7", "8")
    judge = scorer({"Way 0": 0.75, "Way 1": 0.5})
    found = await solver(
        generator(request, [same, other, f" {same}\n", same, cut("The answer is: 8"), ""]), judge
    ).solve(request)
    assert len(judge.requests) == 2
    assert [candidate.score for candidate in found.candidates[:4]] == pytest.approx([0.75, 0.5, 0.75, 0.75])
    assert [candidate.score for candidate in found.candidates[4:]] == [None, None]
    assert (found.num_verifier_calls_saved, found.verifier_usage.num_requests) == (4, 2)
    assert found.clusters[0].weight == pytest.approx(2.25)
    assert found.clusters[0].score == pytest.approx(2.25)


async def test_a_few_good_solutions_outweigh_many_bad_ones() -> None:
    request = ask(num_samples=5, strategy=Strategy.WEIGHTED_VOTE)
    judge = scorer({"The answer is: 8": 0.125, "The answer is: 7": 0.5})
    found = await solver(generator(request, says("8", "8", "8", "7", "7")), judge).solve(request)
    assert (found.answer, found.chosen) == ("7", 3)
    assert found.verifier_prompt_hash == VERIFIER_RENDERER.prompt.hash


async def test_top_clusters_make_fewer_verifier_calls() -> None:
    replies = says("7", "7", "8", "9", "10", "11")
    calls = {}
    for strategy in (Strategy.WEIGHTED_VOTE, Strategy.WEIGHTED_VOTE_TOP_CLUSTERS, Strategy.MAJORITY_VOTE):
        request = ask(num_samples=6, strategy=strategy, num_clusters=2)
        judge = scorer({"Way": 0.5})
        found = await solver(generator(request, replies), judge).solve(request)
        assert found.answer == "7"
        assert found.num_verifier_calls_saved == (6 - len(judge.requests) if strategy.needs_scores else 0)
        calls[strategy] = len(judge.requests)
    assert list(calls.values()) == [6, 3, 0]


async def test_a_score_is_asked_for_while_others_still_sample() -> None:
    request = ask(num_samples=2, strategy=Strategy.WEIGHTED_VOTE)
    slow = request.sample_seed(1)
    engine = generator(request, says("7", "7"), delay_seconds=lambda asked: 0.2 if asked.seed == slow else 0.0)
    async with aclosing(solver(engine, scorer({"Way": 0.5})).events(request)) as events:
        kinds = [type(event) for event in [event async for event in events] if not isinstance(event, ClustersChanged)]
    assert kinds == [SampleDone, SampleScored, SampleDone, SampleScored, Solved]


async def test_events_tell_each_sample_each_score_and_the_clusters_as_they_grow() -> None:
    request = ask(num_samples=4, strategy=Strategy.BEST_OF_N)
    same = says("7")[0]
    told: list[Event] = []
    async with aclosing(
        solver(generator(request, [same, same, *says("1", "8", "9")[1:]]), scorer({"Way": 0.25})).events(request)
    ) as events:
        told.extend([event async for event in events])
    done = [event.candidate.index for event in told if isinstance(event, SampleDone)]
    scored = [event.index for event in told if isinstance(event, SampleScored)]
    sizes = [sum(map(len, (c.members for c in e.clusters))) for e in told if isinstance(e, ClustersChanged)]
    assert sorted(done) == sorted(scored) == [0, 1, 2, 3]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 4
    assert isinstance(told[-1], Solved)
    assert sum(isinstance(event, Solved) for event in told) == 1


async def test_a_run_is_the_same_whatever_ends_first() -> None:
    replies = says("7", "8", "7", "9", "8", "7", "10", "8")
    for adaptive in (None, ADAPTIVE):
        for strategy in (Strategy.WEIGHTED_VOTE, Strategy.BEST_OF_TOP_CLUSTERS):
            request = ask(strategy=strategy, adaptive=adaptive, num_clusters=2)
            order = [request.sample_seed(index) for index in range(8)]

            def delay(asked: CompletionRequest, order: list[int] = order) -> float:
                return 0.01 * (7 - order.index(asked.seed))

            judge = {"Way 1": 0.75, "Way 4": 0.875, "Way": 0.5}
            one = await solver(generator(request, replies), scorer(judge)).solve(request)
            two = await solver(generator(request, replies, delay_seconds=delay), scorer(judge)).solve(request)
            assert settled(one) == settled(two)


async def test_more_samples_keep_the_first_ones() -> None:
    few, many = ask(num_samples=3), ask(num_samples=8)
    seeds = [many.sample_seed(index) for index in range(8)]
    assert [few.sample_seed(index) for index in range(3)] == seeds[:3]
    assert len(set(seeds)) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert set(seeds).isdisjoint(ask(seed=1).sample_seed(index) for index in range(8))
    engine = generator(many, says(*"77888999"))
    found = await solver(engine).solve(many)
    assert [asked.seed for asked in engine.requests] == seeds
    assert found.num_samples_drawn == 8


async def test_agreement_saves_samples() -> None:
    request = ask(num_samples=16, adaptive=ADAPTIVE)
    engine = generator(request, says(*["7"] * 16))
    found = await solver(engine).solve(request)
    assert (found.stop_reason, found.answer) == (StopReason.CONFIDENT, "7")
    assert found.num_samples_drawn == len(engine.requests) < 16
    assert found.num_samples_saved == 16 - found.num_samples_drawn
    assert found.num_samples_cancelled == 0


async def test_disagreement_draws_all() -> None:
    request = ask(num_samples=8, adaptive=ADAPTIVE)
    found = await solver(generator(request, says(*"78787878"))).solve(request)
    assert (found.stop_reason, found.num_samples_drawn, found.num_samples_saved) == (StopReason.ALL_SAMPLES, 8, 0)


async def test_samples_without_an_answer_never_make_it_sure() -> None:
    request = ask(num_samples=8, adaptive=ADAPTIVE)
    found = await solver(generator(request, ["The answer is:"] * 8)).solve(request)
    assert (found.stop_reason, found.answer) == (StopReason.ALL_SAMPLES, None)


async def test_a_verifier_that_is_sure_saves_samples_too() -> None:
    request = ask(num_samples=16, adaptive=ADAPTIVE, strategy=Strategy.WEIGHTED_VOTE)
    judge = scorer({"The answer is: 8": 0.015625, "The answer is: 7": 1.0})
    found = await solver(generator(request, says(*"7877787778777877")), judge).solve(request)
    assert (found.stop_reason, found.answer) == (StopReason.CONFIDENT, "7")


async def test_the_deadline_gives_the_best_answer_so_far() -> None:
    request = ask(num_samples=8, time_limit_seconds=0.5)
    slow = {request.sample_seed(index) for index in range(3, 8)}
    engine = generator(request, says(*"77899999"), delay_seconds=lambda asked: 60.0 if asked.seed in slow else 0.0)
    found = await solver(engine).solve(request)
    assert (found.answer, found.stop_reason) == ("7", StopReason.DEADLINE)
    assert (found.num_samples_drawn, found.num_samples_cancelled, found.num_samples_saved) == (3, 5, 0)
    assert engine.num_open == 0


async def test_a_deadline_before_the_verifier_leaves_the_majority_vote() -> None:
    request = ask(num_samples=3, strategy=Strategy.BEST_OF_N, time_limit_seconds=0.5)
    judge = scorer({"Way": 0.5}, delay_seconds=60.0)
    found = await solver(generator(request, says("8", "7", "7")), judge).solve(request)
    assert (found.answer, found.stop_reason, judge.num_open) == ("7", StopReason.DEADLINE, 0)


async def test_a_deadline_before_any_sample_says_so() -> None:
    request = ask(time_limit_seconds=0.05)
    found = await solver(generator(request, says(*"77777777"), delay_seconds=60.0)).solve(request)
    assert (found.answer, found.no_answer_reason) == (None, "no sample ended within the time limit")


async def test_a_deadline_before_the_answers_are_compared_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def slow(answers: Sequence[str | None]) -> list[AnswerCluster]:
        if len(answers) > 1:
            is_over.wait(timeout=30)
        return cluster_answers(answers)

    monkeypatch.setattr(run, "cluster_answers", slow)
    request = ask(num_samples=2, time_limit_seconds=0.5)
    found = await solver(generator(request, says("7", "7"))).solve(request)
    is_over.set()
    assert (found.answer, found.num_samples_drawn) == (None, 2)
    assert "before the answers were compared" in (found.no_answer_reason or "")


async def test_who_stops_listening_has_everything_cancelled() -> None:
    request = ask(num_samples=8, strategy=Strategy.WEIGHTED_VOTE)
    fast = request.sample_seed(0)
    engine = generator(request, says(*"77777777"), delay_seconds=lambda asked: 0.0 if asked.seed == fast else 60.0)
    judge = scorer({"Way": 0.5}, delay_seconds=60.0)
    events = solver(engine, judge).events(request)
    assert isinstance(await anext(events), SampleDone)
    assert engine.num_open == 7
    await events.aclose()
    assert (engine.num_open, judge.num_open) == (0, 0)


async def test_a_caller_that_is_cancelled_has_everything_cancelled() -> None:
    request = ask()
    engine = generator(request, says(*"77777777"), delay_seconds=60.0)
    solving = asyncio.create_task(solver(engine).solve(request))
    await asyncio.sleep(0.05)
    assert engine.num_open == 8
    solving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await solving
    assert engine.num_open == 0


@pytest.mark.parametrize("error", [RequestRejected("too long"), EngineUnavailable("away")])
async def test_an_engines_error_cancels_the_rest_and_comes_out_as_it_is(
    error: RequestRejected | EngineUnavailable,
) -> None:
    request = ask()
    bad = request.sample_seed(5)
    engine = generator(
        request,
        [*says(*"77777"), error, *says("7", "7")],
        delay_seconds=lambda asked: 0.05 if asked.seed == bad else 60.0,
    )
    with pytest.raises(type(error)) as caught:
        await solver(engine).solve(request)
    assert caught.value is error
    assert engine.num_open == 0


async def test_a_verifiers_error_comes_out_too() -> None:
    request = ask(num_samples=2, strategy=Strategy.BEST_OF_N)
    engine = generator(request, says("7", "8"))
    with pytest.raises(EngineUnavailable, match="away"):
        await solver(engine, scorer({"Way": EngineUnavailable("away")})).solve(request)


async def test_a_strategy_that_scores_needs_a_verifier() -> None:
    request = ask(strategy=Strategy.WEIGHTED_VOTE)
    engine = generator(request, says(*"77777777"))
    with pytest.raises(ConfigError, match=r"'weighted_vote' needs a verifier; without one, ask for majority_vote"):
        await solver(engine).solve(request)
    assert engine.requests == []


async def test_a_verifier_is_asked_as_it_was_taught() -> None:
    judge = ScriptedLabelScorer(lambda _: 0.25)
    found = await Verifier(judge, VERIFIER_RENDERER).score(QUESTION, "It is 7.")
    assert judge.requests[0].token_ids == VERIFIER_RENDERER.render(QUESTION, "It is 7.")
    assert judge.requests[0].label_token_ids == VERIFIER_RENDERER.label_token_ids
    assert found.score == pytest.approx(0.25)
    assert found.num_prompt_tokens == len(judge.requests[0].token_ids)


async def test_a_logprob_that_is_no_number_is_the_engines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = ScriptedLabelScorer(lambda _: 0.25)

    async def broken(_: object) -> LabelLogprobs:
        return LabelLogprobs(correct=nan, incorrect=-1.0, num_prompt_tokens=3)

    monkeypatch.setattr(judge, "label_logprobs", broken)
    with pytest.raises(EngineUnavailable, match="not a number"):
        await Verifier(judge, VERIFIER_RENDERER).score(QUESTION, "It is 7.")


async def test_a_bug_in_an_engine_is_not_taken_for_the_deadline() -> None:
    def script(_: CompletionRequest) -> str:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await solver(ScriptedEngine(script)).solve(ask())


async def test_the_last_clusters_told_are_those_of_the_answer() -> None:
    """A score that comes after the last sample changes the weights."""
    request = ask(num_samples=4, strategy=Strategy.WEIGHTED_VOTE)
    judge = scorer({"7": 0.9, "8": 0.2}, delay_seconds=0.05)
    engine = generator(request, says("8", "7", "8", "8"))
    told = [event async for event in solver(engine, judge).events(request)]
    [*_, last] = [event for event in told if isinstance(event, ClustersChanged)]
    assert isinstance(told[-1], Solved)
    assert last.clusters == told[-1].solution.clusters
    assert [cluster.score for cluster in last.clusters] == pytest.approx([0.6, 0.9])
