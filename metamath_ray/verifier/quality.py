"""How good a verifier is: over all samples, within problems, and whether its scores are probabilities.

Over all samples, a verifier looks good that only knows which problems are easy; what re-ranks is to tell right from
wrong among the samples of ONE problem. So both are measured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metamath_ray.errors import DataError

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierQuality:
    """The figures of one verifier on one set of graded samples.

    Attributes:
        auc: Share of (correct, incorrect) pairs of any samples that the scores order right; None without such a pair.
        within_problem_auc: The same over the pairs that belong to one problem.
        num_pairs: Number of pairs within problems.
        expected_calibration_error: Mean distance of the score from the share of correct samples; None without samples.
    """

    num_samples: int
    num_correct: int
    auc: float | None
    within_problem_auc: float | None
    num_pairs: int
    expected_calibration_error: float | None


def measure(
    scores: Sequence[float], labels: Sequence[bool], problem_ids: Sequence[str], *, num_bins: int = 10
) -> VerifierQuality:
    """Measure a verifier.

    Args:
        scores: S of each sample, from 0 to 1.
        labels: Whether the sample is correct.
        problem_ids: The problem that the sample answers.

    Raises:
        DataError: A score is not a probability, or the sequences differ in length.
    """
    return VerifierQuality(
        num_samples=len(labels),
        num_correct=sum(map(bool, labels)),
        auc=auc(scores, labels),
        within_problem_auc=within_problem_auc(scores, labels, problem_ids),
        num_pairs=num_problem_pairs(labels, problem_ids),
        expected_calibration_error=expected_calibration_error(scores, labels, num_bins),
    )


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float | None:
    """Return the share of (correct, incorrect) pairs in which the correct sample scores higher; a tie counts half.

    Any order-preserving score will do: S, or its log-odds, which keep apart what S rounds to 1.

    Returns:
        From 0 to 1, 0.5 by chance; None when one class is missing.

    Raises:
        DataError: A score is NaN, or the sequences differ in length.
    """
    values, is_correct = _arrays(scores, labels)
    num_pairs = _num_pairs(is_correct)
    return _num_ordered(values, is_correct) / num_pairs if num_pairs else None


def within_problem_auc(scores: Sequence[float], labels: Sequence[bool], problem_ids: Sequence[str]) -> float | None:
    """Return the same share over all pairs of samples that belong to one problem; None when there is no such pair.

    Every pair counts alike, so that a problem weighs as much as it has pairs (`num_problem_pairs`).

    Raises:
        DataError: A score is NaN, or the sequences differ in length.
    """
    values, is_correct = _arrays(scores, labels)
    groups = list(_groups(problem_ids, len(values)))
    num_pairs = sum(_num_pairs(is_correct[group]) for group in groups)
    return sum(_num_ordered(values[group], is_correct[group]) for group in groups) / num_pairs if num_pairs else None


def num_problem_pairs(labels: Sequence[bool], problem_ids: Sequence[str]) -> int:
    """Return the number of (correct, incorrect) pairs of samples that belong to one problem.

    Raises:
        DataError: The sequences differ in length.
    """
    is_correct = np.asarray(labels, dtype=bool)
    return sum(_num_pairs(is_correct[group]) for group in _groups(problem_ids, len(is_correct)))


def expected_calibration_error(scores: Sequence[float], labels: Sequence[bool], num_bins: int = 10) -> float | None:
    """Return |mean score - share of correct samples|, averaged over bins of equal width by their numbers of samples.

    Args:
        scores: S of each sample, from 0 to 1; a score of 1 belongs to the last bin.

    Raises:
        DataError: A score is not a probability, or the sequences differ in length.
    """
    values, is_correct = _arrays(scores, labels)
    if not len(values):
        return None
    if values.min() < 0 or values.max() > 1:
        raise DataError(f"scores go from {values.min():g} to {values.max():g}: expected probabilities, from 0 to 1")
    bins = np.minimum((values * num_bins).astype(np.int64), num_bins - 1)
    return float(np.abs(np.bincount(bins, weights=values - is_correct)).sum() / len(values))


def _arrays(scores: Sequence[float], labels: Sequence[bool]) -> tuple[_Floats, _Bools]:
    values, is_correct = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if len(values) != len(is_correct):
        raise DataError(f"{len(values)} scores for {len(is_correct)} samples: expected one each")
    if np.isnan(values).any():
        raise DataError(f"the score of sample {int(np.isnan(values).argmax())} is not a number")
    return values, is_correct


def _num_pairs(is_correct: _Bools) -> int:
    num_correct = int(is_correct.sum())
    return num_correct * (len(is_correct) - num_correct)


def _num_ordered(scores: _Floats, is_correct: _Bools) -> float:
    """Count the pairs that the scores order right, ties half, from mean ranks (Mann-Whitney's U)."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    num_correct = int(is_correct.sum())
    return float(ranks[is_correct].sum()) - num_correct * (num_correct + 1) / 2


def _groups(problem_ids: Sequence[str], num_samples: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the indices of the samples of each problem."""
    if len(problem_ids) != num_samples:
        raise DataError(f"{len(problem_ids)} problem ids for {num_samples} samples: expected one each")
    _, place = np.unique(np.asarray(problem_ids, dtype=np.str_), return_inverse=True)
    order = np.argsort(place, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
