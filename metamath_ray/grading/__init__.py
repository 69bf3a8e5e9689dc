"""Are two answers the same? One grader for the bootstrap filter, the verifier's labels, the vote and every figure."""

from metamath_ray.grading.canaries import check_canaries
from metamath_ray.grading.equivalence import compare
from metamath_ray.grading.extraction import extract_answer
from metamath_ray.grading.grade import grade, rejection
from metamath_ray.types import Grade, GradeVerdict, Verdict

__all__ = ["Grade", "GradeVerdict", "Verdict", "check_canaries", "compare", "extract_answer", "grade", "rejection"]
