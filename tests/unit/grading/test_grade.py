"""`grade`: a completion against a reference answer."""

import pytest

from metamath_ray.errors import GraderBroken
from metamath_ray.grading import GradeVerdict, Verdict, canaries, check_canaries, grade, pool


@pytest.mark.parametrize(
    ("completion", "reference", "verdict", "reason"),
    [
        ("The answer is: 7", "7", GradeVerdict.CORRECT, "equal"),
        ("The answer is: 8", "7", GradeVerdict.INCORRECT, "different"),
        ("", "7", GradeVerdict.INCORRECT, "no_answer"),
        ("The answer is: 7", " ", GradeVerdict.UNSCORED, "no_reference"),
        ("The answer is: $9^{9^{9^9}}$", "7", GradeVerdict.UNSCORED, "undecided: "),
        (r"\boxed{1} and \boxed{2}", r"\{2, 1\}", GradeVerdict.CORRECT, "equal"),
        (r"\boxed{1} and \boxed{2}", "2", GradeVerdict.CORRECT, "equal"),
        (r"\boxed{1} and \boxed{2}", "1", GradeVerdict.INCORRECT, "different"),
        ("The answer is: 7", r"We add 3 and 4. Thus, $\boxed{7}$.", GradeVerdict.CORRECT, "equal"),
    ],
)
def test_grade(completion: str, reference: str, verdict: GradeVerdict, reason: str) -> None:
    found = grade(completion, reference)
    assert found.verdict is verdict
    assert found.reason.startswith(reason)


def test_canaries_pass() -> None:
    check_canaries()


def test_failing_canary_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "CANARIES", (("1", "2", Verdict.EQUAL),))
    with pytest.raises(GraderBroken, match="'1' and '2' are different"):
        check_canaries()


def test_failing_extraction_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "EXTRACTION_CANARIES", (("The answer is: 7", "8"),))
    with pytest.raises(GraderBroken, match="finds '7'"):
        check_canaries()


def test_canaries_need_no_algebra() -> None:
    before = pool.num_algebra_calls()
    check_canaries()
    assert pool.num_algebra_calls() == before
