"""The learned judge of solutions, without PyTorch: its score, the choice of its training examples, its quality."""

from metamath_ray.verifier.pairs import (
    GradedSample,
    Pair,
    Selection,
    graded_sample,
    question_disjoint_split,
    select_examples,
    usable,
)
from metamath_ray.verifier.quality import VerifierQuality, measure
from metamath_ray.verifier.score import log_odds, score

__all__ = [
    "GradedSample",
    "Pair",
    "Selection",
    "VerifierQuality",
    "graded_sample",
    "log_odds",
    "measure",
    "question_disjoint_split",
    "score",
    "select_examples",
    "usable",
]
