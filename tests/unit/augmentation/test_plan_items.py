from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.augmentation import PlanSummary, fingerprint, plan_items
from metamath_ray.augmentation.sentences import last_question_span
from metamath_ray.types import Augmentation, Problem, SamplingParameters, WorkItem

_PROBLEM = Problem(
    question="Ann has 9 figs. She buys 3 bags of 20 figs. If she eats 5, how many figs are left?", reference_answer="64"
)
_ONE_EACH = dict.fromkeys(Augmentation, 1)


def _plan(*problems: Problem, **options: object) -> list[WorkItem]:
    arguments: dict[str, object] = {"repeats": _ONE_EACH, "fingerprint": "print", **options}
    return list(plan_items(problems, **arguments))  # type: ignore[arg-type]


def _hidden(items: list[WorkItem], augmentation: Augmentation) -> list[str]:
    return [item.mask.value for item in items if item.augmentation is augmentation and item.mask]


def test_backward_items_hide_each_number_and_the_statement_never_those_of_the_last_question() -> None:
    items = _plan(_PROBLEM)
    assert _hidden(items, Augmentation.FOBAR) == ["9", "3", "20", "5"]
    assert _hidden(items, Augmentation.SELF_VERIFICATION) == ["9", "3", "20"]
    assert [item.mask for item in items if not item.augmentation.is_backward] == [None, None]


@given(st.dictionaries(st.sampled_from(Augmentation), st.integers(0, 3)), st.integers(1, 3))
def test_more_repeats_only_add_items(repeats: dict[Augmentation, int], more: int) -> None:
    few = _plan(_PROBLEM, repeats=repeats)
    many = _plan(_PROBLEM, repeats={augmentation: times + more for augmentation, times in repeats.items()})
    assert {item.item_id for item in few} <= {item.item_id for item in many}
    assert len({item.item_id for item in many}) == len(many)


@pytest.mark.parametrize("max_masks", [0, 1, 2, 3, 4])
def test_more_masks_only_add_items(max_masks: int) -> None:
    few, many = _plan(_PROBLEM, max_masks=max_masks), _plan(_PROBLEM, max_masks=max_masks + 1)
    assert {item.item_id for item in few} <= {item.item_id for item in many}
    assert len(_hidden(few, Augmentation.FOBAR)) == max_masks


def test_a_plan_is_always_the_same() -> None:
    assert _plan(_PROBLEM) == _plan(_PROBLEM)


def test_ids_are_pinned() -> None:
    """A changed id makes every run that is under way start again: change it only with the plan's format."""
    assert _plan(_PROBLEM)[0].item_id == "41ef567bb23f9a865a44fec5"


@pytest.mark.parametrize(
    "changed",
    [
        {"question": _PROBLEM.question.replace("Ann", "Eve")},
        {"reference_answer": "65"},
    ],
    ids=["question", "answer"],
)
def test_ids_depend_on_the_problem(changed: dict[str, str]) -> None:
    other = replace(_PROBLEM, **changed)  # type: ignore[arg-type]
    assert not {item.item_id for item in _plan(_PROBLEM)} & {item.item_id for item in _plan(other)}


def test_ids_depend_on_the_fingerprint() -> None:
    other = _plan(_PROBLEM, fingerprint="another")
    assert not {item.item_id for item in _plan(_PROBLEM)} & {item.item_id for item in other}


def test_ids_do_not_depend_on_where_a_problem_stands() -> None:
    moved = replace(_PROBLEM, source_id="file:7")
    assert [item.item_id for item in _plan(moved)] == [item.item_id for item in _plan(_PROBLEM)]


def test_every_item_and_stage_has_a_seed_of_its_own() -> None:
    items = _plan(_PROBLEM, repeats=dict.fromkeys(Augmentation, 20))
    seeds = {item.seed(stage) for item in items for stage in ("rewrite", "solve")}
    assert len(seeds) == 2 * len(items)


def test_ambiguous_masks_are_left_out_and_counted() -> None:
    problem = Problem(question="Ann has 4 cats and 4 dogs and 7 birds. How many pets?", reference_answer="15")
    summary = PlanSummary()
    assert _hidden(_plan(problem, summary=summary), Augmentation.FOBAR) == ["7"]
    assert (summary.num_masks, summary.num_ambiguous_masks) == (3, 2)
    assert _hidden(_plan(problem, include_ambiguous=True), Augmentation.FOBAR) == ["4", "4", "7"]


def test_a_number_that_the_answer_gives_away_is_ambiguous() -> None:
    problem = Problem(question="Ann had 4 cats and got 0 more. How many cats has she?", reference_answer="4.0")
    assert _hidden(_plan(problem), Augmentation.FOBAR) == ["0"]


def test_problems_without_numbers_give_no_backward_items_and_are_counted() -> None:
    summary = PlanSummary()
    items = _plan(Problem(question="How many legs has a cat?", reference_answer="4"), _PROBLEM, summary=summary)
    assert [item.augmentation.is_backward for item in items[:3]] == [False, False, False]
    assert summary.num_without_masks == 1
    assert summary.num_items == {
        Augmentation.ANSWER_AUGMENTATION: 2,
        Augmentation.REPHRASING: 2,
        Augmentation.SELF_VERIFICATION: 3,
        Augmentation.FOBAR: 4,
    }


def test_a_problem_that_occurs_twice_is_planned_once() -> None:
    summary = PlanSummary()
    items = _plan(_PROBLEM, replace(_PROBLEM, source_id="copy"), summary=summary)
    assert len(items) == len(_plan(_PROBLEM))
    assert (summary.num_problems, summary.num_duplicates) == (2, 1)


def test_a_problem_without_an_answer_is_left_out() -> None:
    summary = PlanSummary()
    assert _plan(replace(_PROBLEM, reference_answer=" "), summary=summary) == []
    assert summary.num_without_answer == 1


def test_the_plan_is_lazy() -> None:
    def endless() -> Iterator[Problem]:
        number = 0
        while True:
            number += 1
            yield replace(_PROBLEM, reference_answer=str(1000 + number))

    assert len(list(islice(plan_items(endless(), repeats=_ONE_EACH, fingerprint="print"), 50))) == 50


def test_negative_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        _plan(_PROBLEM, repeats={Augmentation.FOBAR: -1})


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_text_can_be_planned(question: str, answer: str) -> None:
    start, end = last_question_span(question)
    for item in _plan(Problem(question=question, reference_answer=answer), include_ambiguous=True):
        if item.augmentation is Augmentation.SELF_VERIFICATION:
            assert item.mask is not None
            assert item.mask.end <= start or item.mask.start >= end


def test_fingerprint_depends_on_everything_asked_with() -> None:
    warm, cool = SamplingParameters(), SamplingParameters(temperature=0.0)
    prints = {
        fingerprint("prompts", "model", {"rewrite": warm, "solve": warm}),
        fingerprint("prompts", "model", {"rewrite": warm, "solve": cool}),
        fingerprint("prompts", "model", {"rewrite": cool, "solve": warm}),
        fingerprint("prompts", "other", {"rewrite": warm, "solve": warm}),
        fingerprint("others", "model", {"rewrite": warm, "solve": warm}),
    }
    assert len(prints) == 5
    assert fingerprint("prompts", "model", {"solve": warm, "rewrite": warm}) in prints
