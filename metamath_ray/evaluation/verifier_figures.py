"""The verifier on the samples of an evaluation: does it order them, within problems too, and is S a probability?"""

from collections.abc import Sequence

import numpy as np

from metamath_ray.errors import DataError
from metamath_ray.evaluation.problem_samples import Bools, Floats, Ints, ProblemSamples
from metamath_ray.evaluation.resampling import interval_of, ratio_estimate, resamples
from metamath_ray.evaluation.results import CalibrationBin, Estimate, VerifierFigures
from metamath_ray.verifier.quality import auc, expected_calibration_error

NUM_BINS = 10
_NUM_SCORE_BINS = 200
"""Levels of S that the interval of the AUC tells apart; its value tells all."""


def verifier_figures(problems: Sequence[ProblemSamples], *, num_resamples: int, seed: int) -> VerifierFigures | None:
    """Measure the verifier on the samples that have a score and a verdict; None where there is none.

    Raises:
        DataError: A score is not a probability.
    """
    known = [~np.isnan(problem.scores) & ~problem.is_undecided for problem in problems]
    scores = np.concatenate([problem.scores[part] for problem, part in zip(problems, known, strict=True)])
    labels = np.concatenate([problem.is_correct[part] for problem, part in zip(problems, known, strict=True)])
    owners = np.repeat(np.arange(len(problems)), [int(part.sum()) for part in known])
    error = expected_calibration_error(scores.tolist(), labels.tolist(), NUM_BINS)
    if error is None:
        return None
    return VerifierFigures(
        auc=_auc(scores, labels, owners, len(problems), num_resamples, seed),
        within_problem_auc=_within_problems(scores, labels, owners, num_resamples, seed),
        expected_calibration_error=error,
        calibration=_calibration(scores, labels),
    )


def check_scores(problems: Sequence[ProblemSamples], name: str) -> None:
    """Refuse scores that are no probabilities.

    Raises:
        DataError: One is less than 0 or more than 1.
    """
    for problem in problems:
        outside = problem.scores[(problem.scores < 0) | (problem.scores > 1)]
        if outside.size:
            raise DataError(
                f"{name}: a score of problem {problem.problem_id} is {outside[0]:g}: expected S, from 0 to 1"
            )


def _auc(
    scores: Floats, labels: Bools, owners: Ints, num_problems: int, num_resamples: int, seed: int
) -> Estimate | None:
    """Return the AUC; its interval is that of the AUC of S in bins, moved onto it."""
    value = auc(scores.tolist(), labels.tolist())
    if value is None:
        return None
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _NUM_SCORE_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="right")
    right, wrong = (_histogram(bins, owners, part, (num_problems, len(edges) + 1)) for part in (labels, ~labels))
    whole = _ordered_and_pairs(right.sum(axis=0, keepdims=True), wrong.sum(axis=0, keepdims=True))
    sums = np.vstack(
        [_ordered_and_pairs(counts @ right, counts @ wrong) for counts in resamples(num_problems, num_resamples, seed)]
    )
    binned = interval_of(float(whole[0, 0] / whole[0, 1]), sums[sums[:, 1] > 0])
    shift = value - binned.value
    return Estimate(value=value, low=max(0.0, binned.low + shift), high=min(1.0, binned.high + shift))


def _histogram(bins: Ints, owners: Ints, part: Bools, shape: tuple[int, int]) -> Floats:
    """Count the samples of each problem in each bin."""
    places = owners[part] * shape[1] + bins[part]
    return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _ordered_and_pairs(right: Floats, wrong: Floats) -> Floats:
    """Return, row by row, the pairs ordered right (a tie counts half) and all pairs, of counts by ascending score."""
    below = np.cumsum(wrong, axis=1) - wrong / 2
    return np.column_stack([(right * below).sum(axis=1), right.sum(axis=1) * wrong.sum(axis=1)])


def _within_problems(scores: Floats, labels: Bools, owners: Ints, num_resamples: int, seed: int) -> Estimate | None:
    """Return the AUC over the pairs of one problem; every pair counts alike."""
    ordered, pairs = [], []
    for part in np.split(np.arange(len(scores)), np.flatnonzero(np.diff(owners)) + 1):
        share = auc(scores[part].tolist(), labels[part].tolist())
        num_correct = int(labels[part].sum())
        pairs.append(float(num_correct * (len(part) - num_correct)))
        ordered.append((share or 0.0) * pairs[-1])
    if not any(pairs):
        return None
    return ratio_estimate(np.array(ordered), np.array(pairs), num_resamples=num_resamples, seed=seed)


def _calibration(scores: Floats, labels: Bools) -> tuple[CalibrationBin, ...]:
    """Return the bins of equal width that hold a sample."""
    bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return tuple(
        CalibrationBin(
            mean_score=float(scores[bins == place].mean()),
            accuracy=float(labels[bins == place].mean()),
            num_samples=int((bins == place).sum()),
        )
        for place in np.unique(bins)
    )
