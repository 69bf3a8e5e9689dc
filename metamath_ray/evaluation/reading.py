"""The table of samples, read as a stream: texts become numbers, and the answers of each problem clusters."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metamath_ray.errors import DataError
from metamath_ray.evaluation.problem_samples import NO_VOTE, Bools, Ints, ProblemSamples, SampleTable
from metamath_ray.reranking import cluster_answers
from metamath_ray.types import FinishReason, GradeVerdict, RejectionReason

_OUT_OF_RESOURCES = ("over the time limit", "over the memory limit")


def read_problem_samples(batches: Iterable[pa.RecordBatch], name: str = "samples") -> SampleTable:
    """Read a table of samples (`storage.samples.SAMPLE_SCHEMA`) as a stream; its rows may come in any order.

    Memory grows by some 40 bytes a sample, and by the distinct answers and questions; the texts are not kept. The
    answers of a problem are clustered once. A cluster is correct where the earliest of its members that writes the
    answer as the cluster does is correct.

    Args:
        name: What messages call the table.

    Raises:
        DataError: There is no sample, a sample stands there twice, or the samples are of two models or prompt sets.
    """
    columns = _Columns(name)
    for batch in batches:
        columns.add(batch)
    return columns.table()


class _Columns:
    """The columns of the table as they come in, with texts replaced by numbers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: list[npt.NDArray[np.void]] = []
        self._problems: dict[str, int] = {}
        self._facts: list[dict[str, Any]] = []
        self._answers: dict[str, int] = {}
        self._origins: dict[tuple[str, str], None] = {}
        self._clusterings: dict[bytes, tuple[Ints, list[str]]] = {}
        self._num_finish_unknown = self._num_timed_out = self._num_unexplained = 0

    def add(self, batch: pa.RecordBatch) -> None:
        part = np.zeros(len(batch), dtype=_ROW)
        column = {field: batch.column(field) for field in batch.schema.names}
        part["problem"] = self._problem_codes(column["problem_id"].to_pylist(), column["problem"])
        part["index"] = column["sample_index"].to_numpy(zero_copy_only=False)
        part["score"] = column["score"].to_numpy(zero_copy_only=False)
        part["tokens"] = column["num_completion_tokens"].to_numpy(zero_copy_only=False)
        part["text"] = [hash((text or "").strip()) for text in column["completion"].to_pylist()]
        finish = column["finish_reason"].to_pylist()
        part["truncated"] = [reason not in (None, FinishReason.STOP) for reason in finish]
        answers = column["extracted_answer"].to_pylist()
        part["answer"] = [NO_VOTE if answer is None else self._answer_code(answer) for answer in answers]
        verdicts = column["verdict"].to_pylist()
        part["correct"] = [verdict == GradeVerdict.CORRECT for verdict in verdicts]
        part["undecided"] = [verdict == GradeVerdict.UNSCORED for verdict in verdicts]
        self._parts.append(part)
        self._num_finish_unknown += finish.count(None)
        self._count_undecided(column["reason"].to_pylist())
        self._note_origins(zip(column["model"].to_pylist(), column["prompt_set_hash"].to_pylist(), strict=True))

    def _problem_codes(self, problem_ids: Sequence[str], problems: pa.StructArray) -> list[int]:
        for place, problem_id in enumerate(problem_ids):
            if problem_id not in self._problems:
                self._problems[problem_id] = len(self._facts)
                facts = problems[place].as_py()
                self._facts.append(
                    {field: facts[field] for field in ("question", "source", "subject", "level", "num_steps")}
                )
        return [self._problems[problem_id] for problem_id in problem_ids]

    def _answer_code(self, answer: str) -> int:
        return self._answers.setdefault(answer, len(self._answers))

    def _count_undecided(self, reasons: Sequence[str | None]) -> None:
        """Read "undecided" and, where the table says why, "undecided: over the time limit"."""
        for reason in reasons:
            if reason and reason.startswith(RejectionReason.UNDECIDED):
                why = reason.removeprefix(RejectionReason.UNDECIDED).removeprefix(": ")
                self._num_timed_out += why in _OUT_OF_RESOURCES
                self._num_unexplained += not why

    def _note_origins(self, origins: Iterable[tuple[str | None, str | None]]) -> None:
        for model, prompt_set_hash in origins:
            self._origins[model or "", prompt_set_hash or ""] = None
        if len(self._origins) > 1:
            (model, prompts), (other, other_prompts) = list(self._origins)[:2]
            what = f"models {model!r} and {other!r}" if model != other else f"prompts {prompts!r} and {other_prompts!r}"
            raise DataError(f"{self._name}: holds samples of two {what}; evaluate each under a name of its own")

    def table(self) -> SampleTable:
        if not self._facts:
            raise DataError(f"{self._name}: holds no sample; nothing can be evaluated")
        rows = np.concatenate(self._parts)
        self._parts.clear()
        rows = rows[np.lexsort((rows["index"], rows["problem"]))]
        ends = np.flatnonzero(np.diff(rows["problem"])) + 1
        problems = dict(zip(self._problems, np.split(rows, ends), strict=True))
        ((model, prompt_set_hash),) = self._origins
        return SampleTable(
            problems=tuple(self._problem(problem_id, problems[problem_id]) for problem_id in sorted(problems)),
            model=model,
            prompt_set_hash=prompt_set_hash,
            num_finish_unknown=self._num_finish_unknown,
            num_timed_out=self._num_timed_out,
            num_unexplained=self._num_unexplained,
        )

    def _problem(self, problem_id: str, rows: npt.NDArray[np.void]) -> ProblemSamples:
        facts = self._facts[self._problems[problem_id]]
        if (twice := np.flatnonzero(np.diff(rows["index"]) == 0)).size:
            index, question = rows["index"][twice[0]], " ".join(facts["question"].split())[:60]
            raise DataError(f"{self._name}: sample {index} of problem {problem_id} ({question!r}) stands there twice")
        is_correct, is_undecided = rows["correct"], rows["undecided"]
        cluster, surfaces = self._clusters(np.where(rows["truncated"], NO_VOTE, rows["answer"]))
        is_first_of_text = np.zeros(len(rows), dtype=bool)
        is_first_of_text[np.unique(rows["text"], return_index=True)[1]] = True
        return ProblemSamples(
            problem_id=problem_id,
            **facts,
            cluster=cluster,
            cluster_is_correct=self._cluster_is_correct(cluster, surfaces, rows),
            is_correct=is_correct.copy(),
            is_undecided=is_undecided.copy(),
            is_truncated=rows["truncated"].copy(),
            is_duplicate=~is_first_of_text,
            scores=rows["score"].astype(np.float64),
            num_tokens=rows["tokens"].astype(np.float64),
            is_inconsistent=_is_inconsistent(cluster, is_correct, is_undecided),
        )

    def _clusters(self, codes: npt.NDArray[np.int32]) -> tuple[Ints, list[str]]:
        """Return the cluster of each sample and the answer of each cluster; equal lists are clustered once."""
        key = codes.tobytes()
        if key not in self._clusterings:
            texts = self._answer_texts
            found = cluster_answers([None if code == NO_VOTE else texts[code] for code in codes.tolist()])
            cluster = np.full(len(codes), NO_VOTE, dtype=np.int64)
            for place, one in enumerate(found):
                cluster[list(one.members)] = place
            self._clusterings[key] = cluster, [one.answer for one in found]
        return self._clusterings[key]

    @cached_property
    def _answer_texts(self) -> list[str]:
        return list(self._answers)

    def _cluster_is_correct(self, cluster: Ints, surfaces: Sequence[str], rows: npt.NDArray[np.void]) -> Bools:
        """Return the verdict of the earliest member that writes the answer as its cluster does."""
        verdicts = np.zeros(len(surfaces), dtype=bool)
        is_known = np.zeros(len(surfaces), dtype=bool)
        answers, correct = rows["answer"].tolist(), rows["correct"].tolist()
        for sample, place in enumerate(cluster.tolist()):
            if place == NO_VOTE or is_known[place]:
                continue
            if self._answer_texts[answers[sample]].strip() == surfaces[place]:
                verdicts[place], is_known[place] = correct[sample], True
        return verdicts


_ROW = np.dtype(
    [
        ("problem", np.int32),
        ("index", np.int32),
        ("answer", np.int32),
        ("text", np.int64),
        ("score", np.float32),
        ("tokens", np.float32),
        ("correct", np.bool_),
        ("undecided", np.bool_),
        ("truncated", np.bool_),
    ]
)
"""One sample; `problem` and `answer` number the distinct ones, `text` is a hash."""


def _is_inconsistent(cluster: Ints, is_correct: Bools, is_undecided: Bools) -> bool:
    voting = cluster != NO_VOTE
    right, wrong = cluster[voting & is_correct], cluster[voting & ~is_correct & ~is_undecided]
    return bool(np.intersect1d(right, wrong).size)
