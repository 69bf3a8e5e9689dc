from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamath_ray.datasets import Decontaminator
from metamath_ray.export import Rejected, Selected, select_rows, solved_problem_ids
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus, RejectionReason

BACKWARD = [Augmentation.SELF_VERIFICATION, Augmentation.FOBAR]


def reasons(outcomes: list[Outcome], **choices: Any) -> list[str | None]:  # noqa: ANN401
    """Return the reason of each rejection, None for a row."""
    return [
        decision.reason if isinstance(decision, Rejected) else None for decision in select_rows(outcomes, **choices)
    ]


def test_every_outcome_is_decided_once_and_in_order(make_outcome: Callable[..., Outcome]) -> None:
    outcomes = [
        make_outcome(0),
        make_outcome(1, status=OutcomeStatus.REJECTED, reason="wrong_answer"),
        make_outcome(2, status=OutcomeStatus.FAILED, reason="EngineUnavailable", error="gone"),
        make_outcome(3, split="test"),
        make_outcome(4, split="validation"),
    ]
    decisions = list(select_rows(outcomes))
    assert [decision.outcome for decision in decisions] == outcomes
    assert reasons(outcomes) == [None, "wrong_answer", "EngineUnavailable", "held_out", "held_out"]
    assert isinstance(decisions[2], Rejected)
    assert decisions[2].detail == "gone"


def test_duplicates_differ_in_case_spaces_and_punctuation_alone(make_outcome: Callable[..., Outcome]) -> None:
    texts = [
        "4*12 = 48 rolls.",
        "4 * 12 = 48  Rolls",
        "4*12 = $48$ rolls;\n#### 48\nThe answer is: 48",
        "4*12 = 48 rows.",
    ]
    outcomes = [make_outcome(number, text=text) for number, text in enumerate(texts)]
    assert reasons(outcomes) == [None, "duplicate", "duplicate", None]


def test_another_operator_is_no_duplicate(make_outcome: Callable[..., Outcome]) -> None:
    assert (
        reasons([make_outcome(0, text="4+12"), make_outcome(1, text="4-12"), make_outcome(2, text="4.12")])
        == [None] * 3
    )


def test_the_same_response_to_another_query_is_no_duplicate(make_outcome: Callable[..., Outcome]) -> None:
    outcomes = [make_outcome(number, text="48.", query=f"Version {number}?") for number in range(2)]
    assert reasons(outcomes) == [None, None]


def test_cap_counts_rows_of_a_seed_and_augmentation(make_outcome: Callable[..., Outcome]) -> None:
    outcomes = [make_outcome(number) for number in range(3)]
    outcomes.insert(1, make_outcome(0))
    outcomes.append(make_outcome(4, augmentation=Augmentation.REPHRASING, query="Another wording?"))
    outcomes.append(make_outcome(5, question="Another seed?"))
    assert reasons(outcomes, max_rows_per_problem=2) == [None, "duplicate", None, "over_cap", None, None]


@pytest.mark.parametrize("augmentation", BACKWARD)
def test_backward_check_asks_for_a_forward_solution(
    make_outcome: Callable[..., Outcome], augmentation: Augmentation
) -> None:
    backward = make_outcome(1, augmentation=augmentation, query="x?")
    unsolved = make_outcome(2, augmentation=augmentation, query="y?", question="Unsolved?")
    failed = make_outcome(3, question="Unsolved?", status=OutcomeStatus.REJECTED, reason="wrong_answer")
    rephrased = make_outcome(4, question="Unsolved?", augmentation=Augmentation.REPHRASING, query="Reworded?")
    outcomes = [backward, unsolved, failed, rephrased, make_outcome(0)]
    solved = solved_problem_ids(outcomes)
    assert solved == {make_outcome(0).item.problem.problem_id}
    assert reasons(outcomes, solved_problem_ids=solved) == [None, "backward_check", "wrong_answer", None, None]
    assert reasons(outcomes) == [None, None, "wrong_answer", None, None]


def test_contaminated_seed_takes_all_its_rows_along(make_outcome: Callable[..., Outcome]) -> None:
    decontaminator = Decontaminator([("exam", "A baker fills 4 trays with 12 rolls each. How many rolls?")])
    outcomes = [
        make_outcome(0),
        make_outcome(1, augmentation=Augmentation.REPHRASING, query="Trays of rolls: how many?"),
        make_outcome(2, question="Quite another question?"),
        make_outcome(3, question="A third one?", query="A baker fills 4 trays with 12 rolls each: how many rolls"),
    ]
    decisions = list(select_rows(outcomes, decontaminator=decontaminator))
    assert reasons(outcomes, decontaminator=decontaminator) == ["contaminated", "contaminated", None, "contaminated"]
    assert isinstance(decisions[1], Rejected)
    assert decisions[1].detail.startswith("exact overlap with exam: a baker fills 4 trays")


def test_template_of_a_test_question_is_reported_and_kept(make_outcome: Callable[..., Outcome]) -> None:
    decontaminator = Decontaminator([("exam", "A baker fills 9 trays with 99 rolls each. How many rolls?")])
    (decision,) = select_rows([make_outcome()], decontaminator=decontaminator)
    assert isinstance(decision, Selected)
    assert decision.overlap
    assert decision.overlap.test_set == "exam"


@settings(deadline=None)
@given(
    choices=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(list(Augmentation)), st.booleans()), max_size=30
    ),
    cap=st.none() | st.integers(1, 3),
)
def test_rows_are_unique_capped_and_stable(
    make_outcome: Callable[..., Outcome], choices: list[Any], cap: int | None
) -> None:
    outcomes = [
        make_outcome(
            number,
            question=f"Seed {seed}?",
            query=f"Query {seed}?",
            augmentation=augmentation,
            status=OutcomeStatus.ACCEPTED if is_accepted else OutcomeStatus.REJECTED,
        )
        for seed, number, augmentation, is_accepted in choices
    ]
    decisions = list(select_rows(outcomes, max_rows_per_problem=cap))
    rows = [decision for decision in decisions if isinstance(decision, Selected)]
    assert len(decisions) == len(outcomes)
    assert len({(row.row.query, row.row.response) for row in rows}) == len(rows)
    groups = [(row.outcome.item.problem.problem_id, row.outcome.item.augmentation) for row in rows]
    assert cap is None or all(groups.count(group) <= cap for group in groups)
    again = [d for d in select_rows([row.outcome for row in rows], max_rows_per_problem=cap) if isinstance(d, Selected)]
    assert again == rows


def test_reasons_are_the_projects_own() -> None:
    assert {"duplicate", "over_cap", "held_out", "contaminated", "backward_check"} <= set(RejectionReason)
