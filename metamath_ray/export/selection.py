"""Which outcomes become rows: one decision for each outcome, in one pass."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from metamath_ray.datasets.decontamination import Contamination, Decontaminator
from metamath_ray.datasets.folding import fold
from metamath_ray.export.metamathqa import MetaMathQARow, row_of
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus, RejectionReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """An outcome that becomes a row.

    Attributes:
        overlap: A likeness to a test question of a kind that is reported and not removed.
    """

    outcome: Outcome
    row: MetaMathQARow
    overlap: Contamination | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An outcome that does not.

    Attributes:
        reason: The outcome's own, when the bootstrap rejected or failed it; else a `RejectionReason`.
        detail: What a reader needs to see why: the error, the overlap, the cap.
        overlap: The overlap itself, for "contaminated".
    """

    outcome: Outcome
    reason: str
    detail: str = ""
    overlap: Contamination | None = None


def solved_problem_ids(outcomes: Iterable[Outcome]) -> frozenset[str]:
    """Return the problems that this run also solved forward: those with an accepted AnsAug outcome."""
    return frozenset(
        outcome.item.problem.problem_id
        for outcome in outcomes
        if outcome.status is OutcomeStatus.ACCEPTED and outcome.item.augmentation is Augmentation.ANSWER_AUGMENTATION
    )


def select_rows(
    outcomes: Iterable[Outcome],
    *,
    max_rows_per_problem: int | None = None,
    solved_problem_ids: Set[str] | None = None,
    decontaminator: Decontaminator | None = None,
) -> Iterator[Selected | Rejected]:
    """Decide about every outcome, in order; where two exclude each other, the first one stays.

    Feed outcomes in the order of the plan: the order in which they were completed differs from run to run. Memory
    grows by 16 bytes of hash a row and a verdict a problem, not by the texts.

    Args:
        outcomes: Of any status; each yields exactly one decision.
        max_rows_per_problem: Cap on the rows of one seed problem under one augmentation; None for no cap.
        solved_problem_ids: Switches the backward check on: a backward row stays only when its seed's problem is among
            these (see the function of that name), for with x put back the question is the seed's, and its forward
            answer came out.
        decontaminator: Checks the seed question and the new question; None for no check.
    """
    selector = _Selector(max_rows_per_problem, solved_problem_ids, decontaminator)
    return map(selector.decide, outcomes)


class _Selector:
    """The decisions, and what they must remember."""

    def __init__(self, cap: int | None, solved: Set[str] | None, decontaminator: Decontaminator | None) -> None:
        self._cap = cap
        self._solved = solved
        self._decontaminator = decontaminator
        self._seed_verdicts: dict[str, Contamination | None] = {}
        self._seen: set[bytes] = set()
        self._num_rows: Counter[tuple[str, Augmentation]] = Counter()

    def decide(self, outcome: Outcome) -> Selected | Rejected:
        if outcome.status is not OutcomeStatus.ACCEPTED:
            return Rejected(outcome=outcome, reason=outcome.reason, detail=outcome.error)
        problem = outcome.item.problem
        if problem.split != "train":
            return _rejected(outcome, RejectionReason.HELD_OUT, f"the seed belongs to split '{problem.split}'")
        problem_id = problem.problem_id
        if self._solved is not None and outcome.item.augmentation.is_backward and problem_id not in self._solved:
            return _rejected(outcome, RejectionReason.BACKWARD_CHECK, "the seed has no accepted forward solution")
        overlap = self._overlap(outcome, problem_id)
        if overlap and overlap.is_removed:
            detail = f"{overlap.kind} overlap with {overlap.test_set}: {overlap.overlap}"
            return Rejected(outcome=outcome, reason=RejectionReason.CONTAMINATED, detail=detail, overlap=overlap)
        return self._first_within_cap(outcome, problem_id, overlap)

    def _first_within_cap(
        self, outcome: Outcome, problem_id: str, overlap: Contamination | None
    ) -> Selected | Rejected:
        row = row_of(outcome)
        key = _row_key(row)
        if key in self._seen:
            return _rejected(outcome, RejectionReason.DUPLICATE, "same query and response as an earlier row")
        group = (problem_id, outcome.item.augmentation)
        if self._cap is not None and self._num_rows[group] >= self._cap:
            return _rejected(outcome, RejectionReason.OVER_CAP, f"the seed has {self._cap} rows of this kind")
        self._seen.add(key)
        self._num_rows[group] += 1
        return Selected(outcome=outcome, row=row, overlap=overlap)

    def _overlap(self, outcome: Outcome, problem_id: str) -> Contamination | None:
        if self._decontaminator is None:
            return None
        seed_question = outcome.item.problem.question
        if problem_id not in self._seed_verdicts:
            self._seed_verdicts[problem_id] = self._decontaminator.check(seed_question)
        seed_overlap = self._seed_verdicts[problem_id]
        if outcome.query == seed_question or (seed_overlap and seed_overlap.is_removed):
            return seed_overlap
        return self._decontaminator.check(outcome.query) or seed_overlap


def _rejected(outcome: Outcome, reason: RejectionReason, detail: str) -> Rejected:
    return Rejected(outcome=outcome, reason=reason, detail=detail)


def _row_key(row: MetaMathQARow) -> bytes:
    texts = f"{fold(row.query)}\n{fold(row.response)}"
    return hashlib.blake2b(texts.encode(), digest_size=16).digest()
