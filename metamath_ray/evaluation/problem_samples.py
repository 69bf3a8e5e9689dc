"""The samples of a problem as numbers: each answer by its cluster."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_VOTE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProblemSamples:
    """All samples of one problem, in the order of `sample_index`.

    Attributes:
        cluster: Cluster of each sample, 0 being the largest; -1 for a sample that does not vote. Shape [N].
        cluster_is_correct: Shape [number of clusters].
        is_correct: Shape [N], as all that follow; False where the grader could not tell.
        scores: S; NaN where the sample is not scored.
        num_tokens: NaN where the table does not know.
        is_duplicate: The text stands earlier among the samples.
        is_inconsistent: One cluster holds both a correct and an incorrect sample.
    """

    problem_id: str
    question: str
    source: str
    subject: str | None
    level: str | None
    num_steps: int | None
    cluster: Ints
    cluster_is_correct: Bools
    is_correct: Bools
    is_undecided: Bools
    is_truncated: Bools
    is_duplicate: Bools
    scores: Floats
    num_tokens: Floats
    is_inconsistent: bool

    @property
    def num_samples(self) -> int:
        """N of this problem."""
        return len(self.cluster)

    @property
    def is_scored(self) -> bool:
        """Whether every sample that votes has a score."""
        return not np.isnan(self.scores[self.cluster != NO_VOTE]).any()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """A table of samples of one model.

    Attributes:
        problems: By ascending problem id, so that nothing depends on the order of the rows.
        num_finish_unknown: Samples of which the table does not say how they ended; they count as ended by themselves.
        num_timed_out: Undecided samples whose comparison ran out of time or memory.
        num_unexplained: Undecided samples of which the table does not say why.
    """

    problems: tuple[ProblemSamples, ...]
    model: str
    prompt_set_hash: str
    num_finish_unknown: int
    num_timed_out: int
    num_unexplained: int

    @property
    def num_samples(self) -> int:
        """The smallest number of samples that a problem has."""
        return min(problem.num_samples for problem in self.problems)

    @property
    def is_scored(self) -> bool:
        """Whether every sample that votes has a score, and some sample does."""
        has_votes = any(len(problem.cluster_is_correct) for problem in self.problems)
        return has_votes and all(problem.is_scored for problem in self.problems)
