"""Which samples a report shows: of some problems, one of the leading answer and one that is graded otherwise."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metamath_ray.report.samples import SampleKind, ShownCluster, ShownSample
from metamath_ray.reranking import Strategy, choose, cluster_answers
from metamath_ray.types import AnswerCluster, FinishReason, GradeVerdict

Row = Mapping[str, Any]

_CORRECT = {GradeVerdict.CORRECT: True, GradeVerdict.INCORRECT: False, GradeVerdict.UNSCORED: None}


class SampleChooser:
    """Chooses samples to browse out of a table that streams by; holds the samples of its first problems alone."""

    def __init__(self, *, num_problems: int) -> None:
        self._num_problems = num_problems
        self._by_problem: dict[str, list[Row]] = {}

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hand on the table as it comes, so that whoever else reads it need not read it again."""
        for batch in batches:
            self._keep(batch)
            yield batch

    def _keep(self, batch: pa.RecordBatch) -> None:
        for problem_id in batch.column("problem_id").unique().to_pylist():
            if len(self._by_problem) < self._num_problems:
                self._by_problem.setdefault(problem_id, [])
        shown = pc.is_in(batch.column("problem_id"), value_set=pa.array(self._by_problem, pa.string()))
        for row in batch.filter(shown).to_pylist():
            self._by_problem[row["problem_id"]].append(row)

    def chosen(self) -> list[ShownSample]:
        """Return the samples of what has passed."""
        return [sample for rows in self._by_problem.values() for sample in _shown(rows)]


def choose_samples(batches: Iterable[pa.RecordBatch], *, num_problems: int) -> list[ShownSample]:
    """Return samples to browse, of the first problems of a table; holds the samples of these alone."""
    chooser = SampleChooser(num_problems=num_problems)
    deque(chooser.passing(batches), maxlen=0)
    return chooser.chosen()


def _shown(rows: Sequence[Row]) -> list[ShownSample]:
    clusters = cluster_answers([_vote(row) for row in rows])
    shown_clusters = tuple(_cluster(cluster, rows) for cluster in clusters)
    is_split = _is_split(clusters, rows)
    first = clusters[0].members[0] if clusters else 0
    other = next((place for place, row in enumerate(rows) if row["verdict"] != rows[first]["verdict"]), None)
    places = [first] if other is None else [first, other]
    return [_sample(rows[place], shown_clusters, is_split=is_split) for place in places]


def _vote(row: Row) -> str | None:
    is_whole = row["finish_reason"] in (None, FinishReason.STOP)
    return row["extracted_answer"] if is_whole else None


def _cluster(cluster: AnswerCluster, rows: Sequence[Row]) -> ShownCluster:
    scores = [rows[place]["score"] for place in cluster.members if rows[place]["score"] is not None]
    return ShownCluster(
        answer=cluster.answer,
        num_votes=cluster.num_votes,
        total_score=sum(scores) if scores else None,
        is_correct=_CORRECT[_verdict(cluster, rows)],
    )


def _verdict(cluster: AnswerCluster, rows: Sequence[Row]) -> GradeVerdict:
    """Return that of the earliest member that writes the answer as the cluster does, as the evaluation has it."""
    first = next(place for place in cluster.members if rows[place]["extracted_answer"].strip() == cluster.answer)
    return GradeVerdict(rows[first]["verdict"])


def _is_split(clusters: Sequence[AnswerCluster], rows: Sequence[Row]) -> bool:
    """Whether vote and verifier choose different answers, or the vote is wrong while some sample is right."""
    if not clusters:
        return False
    scores = {place: row["score"] for place, row in enumerate(rows) if row["score"] is not None}
    voted = choose(clusters, {}, Strategy.MAJORITY_VOTE).cluster
    weighed = choose(clusters, scores, Strategy.WEIGHTED_VOTE).cluster
    lost = _verdict(clusters[0], rows) is GradeVerdict.INCORRECT
    return voted != weighed or (lost and any(row["verdict"] == GradeVerdict.CORRECT for row in rows))


def _sample(row: Row, clusters: tuple[ShownCluster, ...], *, is_split: bool) -> ShownSample:
    verdict = GradeVerdict(row["verdict"])
    kinds = {GradeVerdict.CORRECT: SampleKind.RIGHT, GradeVerdict.INCORRECT: SampleKind.WRONG}
    return ShownSample(
        question=row["problem"]["question"],
        reference_answer=row["problem"]["reference_answer"],
        completion=row["completion"],
        extracted_answer=row["extracted_answer"],
        verdict=str(verdict),
        score=row["score"],
        kind=SampleKind.DISAGREED if is_split else kinds.get(verdict, SampleKind.UNDECIDED),
        clusters=clusters,
    )
