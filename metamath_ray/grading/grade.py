"""One completion against one reference answer."""

from metamath_ray.grading.equivalence import explain_patiently
from metamath_ray.grading.extraction import find_answers
from metamath_ray.grading.outcome import Comparison
from metamath_ray.types import Grade, GradeVerdict, RejectionReason, Verdict


def grade(completion: str, reference_answer: str) -> Grade:
    """Grade a completion: `unscored` when the reference is empty or equality could not be decided.

    Where the final answer is a group of boxes, the whole group or its last box alone may be the reference.
    """
    candidates = find_answers(completion)
    if not reference_answer.strip():
        extracted = candidates[0] if candidates else None
        return Grade(verdict=GradeVerdict.UNSCORED, extracted_answer=extracted, reason="no_reference")
    if not candidates:
        return Grade(verdict=GradeVerdict.INCORRECT, extracted_answer=None, reason="no_answer")
    grades = [grade_of(answer, explain_patiently(answer, reference_answer)) for answer in candidates]
    return next((found for found in grades if found.verdict is GradeVerdict.CORRECT), grades[0])


def rejection(found: Grade) -> RejectionReason | None:
    """Return why a completion with this grade is not kept; None when it is correct."""
    if found.verdict is GradeVerdict.CORRECT:
        return None
    if found.extracted_answer is None:
        return RejectionReason.NO_ANSWER
    return RejectionReason.UNDECIDED if found.verdict is GradeVerdict.UNSCORED else RejectionReason.WRONG_ANSWER


def grade_of(answer: str, comparison: Comparison) -> Grade:
    """Return the grade that a comparison of an answer with its reference earns."""
    match comparison.verdict:
        case Verdict.EQUAL:
            return Grade(verdict=GradeVerdict.CORRECT, extracted_answer=answer, reason="equal")
        case Verdict.DIFFERENT:
            return Grade(verdict=GradeVerdict.INCORRECT, extracted_answer=answer, reason="different")
    return Grade(verdict=GradeVerdict.UNSCORED, extracted_answer=answer, reason=f"undecided: {comparison.reason}")
