"""What an export counted, kind by kind."""

from collections import Counter
from dataclasses import dataclass, field

from metamath_ray.datasets.decontamination import Contamination, ContaminationKind
from metamath_ray.export.selection import Rejected, Selected
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus, RejectionReason

_KEPT_HITS = 10
"""How many overlaps of a kind are kept word for word; all are counted."""


@dataclass(slots=True)
class AugmentationCounts:
    """The decisions about one augmentation.

    Attributes:
        num_items: Outcomes seen.
        num_accepted: Those that the bootstrap accepted.
        num_exported: Those that became rows.
        num_tokens: Completion tokens of the exported solutions.
        rejected: Reason → how many; the bootstrap's own rejections and failures included.
    """

    num_items: int = 0
    num_accepted: int = 0
    num_exported: int = 0
    num_tokens: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def duplicate_rate(self) -> float:
        """Share of the accepted outcomes that repeat an earlier row; 0 when nothing was accepted."""
        return self.rejected[RejectionReason.DUPLICATE] / self.num_accepted if self.num_accepted else 0.0

    @property
    def mean_tokens(self) -> float:
        """Mean completion tokens of an exported solution; 0 when nothing was exported."""
        return self.num_tokens / self.num_exported if self.num_exported else 0.0

    def add(self, decision: Selected | Rejected) -> None:
        """Count one decision."""
        self.num_items += 1
        self.num_accepted += decision.outcome.status is OutcomeStatus.ACCEPTED
        if isinstance(decision, Rejected):
            self.rejected[decision.reason] += 1
            return
        self.num_exported += 1
        solution = decision.outcome.solution
        self.num_tokens += solution.num_completion_tokens if solution else 0


@dataclass(slots=True)
class ExportSummary:
    """What `write_export` counted.

    Attributes:
        by_augmentation: All four, those without outcomes included.
        num_problems: Seed problems with at least one row.
        sources: Source → rows.
        models: Model that wrote the solution → rows.
        overlaps: (kind, test set, removed) → outcomes.
        hits: The first overlaps of each kind, with the id of their item.
        malformed_tests: Messages of the test questions that were skipped: nothing was compared with them.
    """

    by_augmentation: dict[Augmentation, AugmentationCounts] = field(
        default_factory=lambda: {augmentation: AugmentationCounts() for augmentation in Augmentation}
    )
    num_problems: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    overlaps: Counter[tuple[ContaminationKind, str, bool]] = field(default_factory=Counter)
    hits: list[tuple[str, Contamination]] = field(default_factory=list)
    malformed_tests: list[str] = field(default_factory=list)
    _problem_ids: set[str] = field(default_factory=set, repr=False)

    @property
    def num_exported(self) -> int:
        """Rows of the data set."""
        return sum(counts.num_exported for counts in self.by_augmentation.values())

    @property
    def num_rejected(self) -> int:
        """Outcomes that became no row, for whatever reason."""
        return sum(counts.rejected.total() for counts in self.by_augmentation.values())

    def add(self, decision: Selected | Rejected) -> None:
        """Count one decision."""
        outcome = decision.outcome
        self.by_augmentation[outcome.item.augmentation].add(decision)
        if isinstance(decision, Selected):
            self._add_row(outcome)
        if decision.overlap:
            self._add_overlap(outcome.item.item_id, decision.overlap)

    def _add_row(self, outcome: Outcome) -> None:
        problem = outcome.item.problem
        self._problem_ids.add(problem.problem_id)
        self.num_problems = len(self._problem_ids)
        self.sources[problem.source] += 1
        self.models[outcome.solution.model if outcome.solution else ""] += 1

    def _add_overlap(self, item_id: str, overlap: Contamination) -> None:
        self.overlaps[overlap.kind, overlap.test_set, overlap.is_removed] += 1
        if sum(kept.kind is overlap.kind for _, kept in self.hits) < _KEPT_HITS:
            self.hits.append((item_id, overlap))
