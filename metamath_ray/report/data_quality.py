"""The figures of a bootstrapped data set, as records that a report draws and JSON keeps."""

from dataclasses import dataclass

from metamath_ray.statistics import Rate
from metamath_ray.types import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationQuality:
    """What one augmentation gave.

    Attributes:
        num_planned: Items of the plan.
        acceptance: Accepted of the finished items; None where none is finished.
        num_rows: Exported rows.
        num_duplicates: Accepted items that repeat an earlier row, and so became none.
        new_numbers: Share of the numbers of the rows' questions that the seed question does not state, averaged over
            rows whose question states a number; None without such a row.
        diversity_gain: Of the rows' questions over the seed questions; None without rows.
    """

    augmentation: Augmentation
    num_planned: int
    acceptance: Rate | None
    num_rows: int
    num_duplicates: int
    new_numbers: float | None
    diversity_gain: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many rows lie where.

    Attributes:
        quantity: What is counted: "words of a solution".
        edges: One more than there are bins; bin i goes from `edges[i]` to below `edges[i + 1]`.
        counts: Rows in each bin.
    """

    quantity: str
    edges: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataQuality:
    """A bootstrapped data set.

    Attributes:
        num_rows: Exported rows.
        num_seeds: Seed questions that have at least one row.
        by_augmentation: Those that were planned.
        diversity_gain: Of all rows' questions over the seed questions (2309.12284, section 4.3).
        embedding: What measured the distance of two questions.
        histograms: Lengths and steps of the solutions.
    """

    num_rows: int
    num_seeds: int
    by_augmentation: tuple[AugmentationQuality, ...]
    diversity_gain: float | None
    embedding: str
    histograms: tuple[Histogram, ...]
