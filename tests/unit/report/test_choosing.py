from typing import Any

from metamath_ray.report.choosing import SampleChooser, choose_samples
from metamath_ray.report.samples import SampleKind, ShownSample
from tests.unit.evaluation.tables import batches, sample_row


def shown(*rows: dict[str, Any], num_problems: int = 9) -> list[ShownSample]:
    return choose_samples(batches(list(rows)), num_problems=num_problems)


def test_a_problem_shows_its_leading_answer_and_one_that_is_graded_otherwise() -> None:
    rows = [sample_row("7", index=0), sample_row("8", index=1, reason="wrong_answer"), sample_row("7", index=2)]
    first, second = shown(*rows)
    assert (first.extracted_answer, first.kind) == ("7", SampleKind.RIGHT)
    assert (second.extracted_answer, second.kind) == ("8", SampleKind.WRONG)
    assert [(one.answer, one.num_votes, one.is_correct) for one in first.clusters] == [("7", 2, True), ("8", 1, False)]


def test_a_lost_vote_is_a_disagreement() -> None:
    rows = [sample_row("8", index=place, reason="wrong_answer") for place in range(2)]
    kinds = {sample.kind for sample in shown(*rows, sample_row("7", index=2))}
    assert kinds == {SampleKind.DISAGREED}


def test_a_verifier_against_the_vote_is_a_disagreement() -> None:
    wrong = [sample_row("8", index=place, reason="wrong_answer", score=0.1) for place in range(2)]
    right = [sample_row("7", index=place, score=0.9) for place in (2, 3, 4)]
    assert {sample.kind for sample in shown(*right, *wrong)} == {SampleKind.RIGHT, SampleKind.WRONG}
    outweighed = [{**row, "score": 0.01} for row in right]
    assert {sample.kind for sample in shown(*outweighed, *wrong)} == {SampleKind.DISAGREED}


def test_what_the_grader_cannot_tell_is_undecided() -> None:
    (sample,) = shown(sample_row("7", reason="undecided"))
    assert sample.kind is SampleKind.UNDECIDED


def test_a_truncated_text_has_no_vote_but_can_be_looked_at() -> None:
    row = sample_row(None, reason="truncated", finish_reason="length")
    (sample,) = shown(row)
    assert (sample.kind, sample.clusters) == (SampleKind.WRONG, ())


def test_only_the_first_problems_are_shown_with_all_their_samples() -> None:
    rows = [sample_row("7", question=f"{number}?", index=index) for index in range(3) for number in range(5)]
    found = shown(*rows, num_problems=2)
    assert [sample.question for sample in found] == ["0?", "1?"]
    assert all(sample.clusters[0].num_votes == 3 for sample in found)


def test_what_passes_is_handed_on_as_it_came() -> None:
    table = batches([sample_row("7", question=f"{number}?") for number in range(5)], 2)
    chooser = SampleChooser(num_problems=2)
    assert list(chooser.passing(table)) == table
    assert chooser.chosen() == choose_samples(table, num_problems=2)


def test_a_verifier_that_breaks_a_tied_vote_disagrees_with_it() -> None:
    rows = [sample_row("7", index=0, score=0.2), sample_row("8", index=1, reason="wrong_answer", score=0.9)]
    assert {sample.kind for sample in shown(*rows)} == {SampleKind.DISAGREED}
