import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from metamath_ray.augmentation import plan_items, run_item, solve_and_check
from metamath_ray.errors import AccessDenied, EngineError, EngineUnavailable, PromptError, RequestRejected
from metamath_ray.inference.protocol import CompletionRequest
from metamath_ray.inference.scripted import Reply, ScriptedEngine
from metamath_ray.prompts import Renderer, load_prompt_set
from metamath_ray.types import (
    Augmentation,
    Completion,
    FinishReason,
    Grade,
    GradeVerdict,
    Outcome,
    OutcomeStatus,
    Problem,
    RejectionReason,
    SamplingParameters,
    WorkItem,
)

_PROBLEM = Problem(
    question=(
        "James buys 5 packs of beef that are 4 pounds each. The price of beef is $5.50 per pound. How much did he pay?"
    ),
    reference_answer="110",
    source="gsm8k",
)
_RIGHT = " He pays 110 dollars.\nThe answer is: 110"
_BACKWARD = " We solve 22 * x = 110.\nThe value of x is 5."
_REWRITE = " Beef is sold at $5.50 a pound. What does James pay for 5 packs of 4 pounds each?"
_STATEMENT = " He paid 110."
_REWRITE_SAMPLING = SamplingParameters(temperature=0.9, max_tokens=100)
_SOLVE_SAMPLING = SamplingParameters(temperature=0.7, max_tokens=200, stop=("\n\n\n",))


def _item(augmentation: Augmentation) -> WorkItem:
    return next(plan_items([_PROBLEM], repeats={augmentation: 1}, fingerprint="print"))


def _run(augmentation: Augmentation, *replies: Reply) -> tuple[Outcome, ScriptedEngine]:
    queue = iter(replies)
    engine = ScriptedEngine(lambda request: next(queue))
    outcome = asyncio.run(
        run_item(
            _item(augmentation),
            engine=engine,
            renderer=Renderer(load_prompt_set("embedded"), None),
            rewrite_sampling=_REWRITE_SAMPLING,
            solve_sampling=_SOLVE_SAMPLING,
        )
    )
    return outcome, engine


def _cut(text: str, reason: FinishReason = FinishReason.LENGTH) -> Completion:
    return Completion(
        text=text, finish_reason=reason, num_prompt_tokens=1, num_completion_tokens=1, seed=1, model="scripted"
    )


def _asked(request: CompletionRequest) -> str:
    assert request.prompt.messages is not None
    return request.prompt.messages[0].content


def test_answer_augmentation_asks_the_question_once() -> None:
    outcome, engine = _run(Augmentation.ANSWER_AUGMENTATION, _RIGHT)
    assert outcome.status is OutcomeStatus.ACCEPTED
    assert (outcome.query, outcome.expected_answer, outcome.extracted_answer) == (_PROBLEM.question, "110", "110")
    assert outcome.rewrite is None
    assert outcome.solution is not None
    assert outcome.solution.text == _RIGHT.strip()
    assert [_asked(request) for request in engine.requests] == [f"Question: {_PROBLEM.question}\nSolution:"]


def test_rephrasing_is_checked_against_the_original_answer() -> None:
    outcome, engine = _run(Augmentation.REPHRASING, _REWRITE, _RIGHT)
    assert outcome.status is OutcomeStatus.ACCEPTED
    assert (outcome.query, outcome.expected_answer) == (_REWRITE.strip(), "110")
    assert outcome.rewrite is not None
    assert _asked(engine.requests[0]) == f"Question: {_PROBLEM.question}\nRephrased question:"
    assert _asked(engine.requests[1]) == f"Question: {_REWRITE.strip()}\nSolution:"


def test_self_verification_asks_for_the_hidden_number() -> None:
    outcome, engine = _run(Augmentation.SELF_VERIFICATION, _STATEMENT, _BACKWARD)
    assert outcome.status is OutcomeStatus.ACCEPTED
    assert outcome.expected_answer == "5"
    assert outcome.query == (
        "James buys x packs of beef that are 4 pounds each. The price of beef is $5.50 per pound. He paid 110. "
        "What is the value of unknown variable x?"
    )
    assert _asked(engine.requests[0]) == "Question: How much did he pay?\nAnswer: 110\nStatement:"


def test_fobar_asks_no_model_for_its_question() -> None:
    outcome, engine = _run(Augmentation.FOBAR, _BACKWARD)
    assert outcome.status is OutcomeStatus.ACCEPTED
    assert (outcome.rewrite, outcome.expected_answer, len(engine.requests)) == (None, "5", 1)
    assert outcome.query.endswith("is 110, what is the value of unknown variable x?")


def test_each_stage_has_its_own_seed_and_sampling() -> None:
    outcome, engine = _run(Augmentation.REPHRASING, _REWRITE, _RIGHT)
    rewrite, solve = engine.requests
    assert (rewrite.seed, solve.seed) == (outcome.item.seed("rewrite"), outcome.item.seed("solve"))
    assert rewrite.sampling == replace(_REWRITE_SAMPLING, stop=("\nQuestion:",))
    assert solve.sampling == replace(_SOLVE_SAMPLING, stop=("\n\n\n", "\nQuestion:"))


@pytest.mark.parametrize(
    ("augmentation", "replies", "reason"),
    [
        pytest.param("answer_augmentation", ["The answer is: 111"], "wrong_answer", id="wrong"),
        pytest.param("fobar", ["The value of x is 110."], "wrong_answer", id="answer_repeated_as_the_hidden_number"),
        pytest.param("answer_augmentation", ["He had some pens left over."], "no_answer", id="no_answer"),
        pytest.param("answer_augmentation", [""], "no_answer", id="empty_solution"),
        pytest.param("answer_augmentation", [_cut(_RIGHT)], "truncated", id="truncated_though_right"),
        pytest.param("answer_augmentation", [_cut(_RIGHT, FinishReason.OTHER)], "truncated", id="aborted_though_right"),
        pytest.param("rephrasing", [_cut(_REWRITE)], "truncated", id="truncated_rewrite"),
        pytest.param("rephrasing", [_REWRITE, _cut(_RIGHT)], "truncated", id="truncated_after_a_good_rewrite"),
        pytest.param("rephrasing", [_PROBLEM.question], "bad_rewrite", id="unchanged_rewrite"),
        pytest.param("rephrasing", [" "], "bad_rewrite", id="empty_rewrite"),
        pytest.param("rephrasing", [_REWRITE, "The answer is: 5"], "wrong_answer", id="rewrite_with_another_answer"),
        pytest.param("self_verification", [" How much is 110?"], "bad_rewrite", id="statement_is_a_question"),
        pytest.param("self_verification", [" He paid a lot."], "bad_rewrite", id="statement_without_the_answer"),
        pytest.param(
            "self_verification", [_STATEMENT, "The value of x is 4."], "wrong_answer", id="wrong_hidden_number"
        ),
    ],
)
def test_rejected(augmentation: str, replies: list[Reply], reason: str) -> None:
    outcome, engine = _run(Augmentation(augmentation), *replies)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.REJECTED, reason)
    assert len(engine.requests) == len(replies)


def test_a_bad_rewrite_is_kept_for_the_reader() -> None:
    outcome, _ = _run(Augmentation.REPHRASING, _PROBLEM.question)
    assert outcome.rewrite is not None
    assert (outcome.query, outcome.solution) == ("", None)


def test_undecided_is_not_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    unscored = Grade(verdict=GradeVerdict.UNSCORED, extracted_answer="y", reason="undecided")
    monkeypatch.setattr(solve_and_check, "grade", lambda completion, reference: unscored)
    outcome, _ = _run(Augmentation.ANSWER_AUGMENTATION, _RIGHT)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.REJECTED, RejectionReason.UNDECIDED)


def test_grading_does_not_hold_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def slow(completion: str, reference: str) -> Grade:
        threads.append(threading.get_ident())
        return Grade(verdict=GradeVerdict.CORRECT, extracted_answer="110", reason="equal")

    monkeypatch.setattr(solve_and_check, "grade", slow)
    _run(Augmentation.ANSWER_AUGMENTATION, _RIGHT)
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("replies", [[RequestRejected("too long")], [_REWRITE, RequestRejected("too long")]])
def test_a_refused_request_fails_its_row(replies: list[Reply]) -> None:
    outcome, _ = _run(Augmentation.REPHRASING, *replies)
    assert (outcome.status, outcome.reason, outcome.error) == (OutcomeStatus.FAILED, "request_rejected", "too long")


@pytest.mark.parametrize("make_error", [EngineUnavailable, AccessDenied])
def test_other_engine_errors_are_for_the_caller(make_error: Callable[[str], EngineError]) -> None:
    with pytest.raises(EngineError, match="gone"):
        _run(Augmentation.FOBAR, make_error("gone"))


def test_a_prompt_set_without_the_task_is_for_the_caller() -> None:
    engine = ScriptedEngine(lambda request: _RIGHT)
    renderer = Renderer(load_prompt_set("metamath_release"), None)
    with pytest.raises(PromptError, match="no task 'rephrase'"):
        asyncio.run(
            run_item(
                _item(Augmentation.REPHRASING),
                engine=engine,
                renderer=renderer,
                rewrite_sampling=_REWRITE_SAMPLING,
                solve_sampling=_SOLVE_SAMPLING,
            )
        )
