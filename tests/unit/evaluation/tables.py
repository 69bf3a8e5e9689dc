"""Tables of samples that tests are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from metamath_ray.evaluation.problem_samples import ProblemSamples
from metamath_ray.evaluation.reading import read_problem_samples
from metamath_ray.storage.samples import SAMPLE_SCHEMA
from metamath_ray.types import content_id

_VERDICTS = {"": "correct", "undecided": "unscored"}


def sample_row(
    answer: str | None = "7",
    *,
    question: str = "What is 3 + 4?",
    reference: str = "7",
    index: int = 0,
    **fields: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """One sample; right where the answer is the reference, unless `reason` says otherwise."""
    reason = fields.pop("reason", "no_answer" if answer is None else "" if answer == reference else "wrong_answer")
    facts = {name: fields.pop(name, None) for name in ("subject", "level", "num_steps")}
    problem = {
        "question": question,
        "reference_answer": reference,
        "reference_solution": "",
        "source": "test",
        "split": "test",
        "source_id": "",
        **facts,
    }
    return {
        "sample_id": f"{question} {index}",
        "problem": problem,
        "problem_id": content_id((question, reference)),
        "sample_index": index,
        "seed": index,
        "completion": f"{index}: The answer is {answer}",
        "finish_reason": "stop",
        "extracted_answer": answer,
        "verdict": _VERDICTS.get(reason, _VERDICTS.get(reason.split(":")[0], "incorrect")),
        "reason": reason,
        "num_prompt_tokens": 10,
        "num_completion_tokens": 20,
        "model": "scripted",
        "prompt_set_hash": "prompts",
        "score": None,
        **fields,
    }


def batches(rows: Sequence[dict[str, Any]], size: int = 5) -> list[pa.RecordBatch]:
    """Lay rows into small batches, so that a problem spans several."""
    return [
        pa.RecordBatch.from_pylist(list(rows[at : at + size]), schema=SAMPLE_SCHEMA) for at in range(0, len(rows), size)
    ]


def problem_of(labels: Sequence[int], scores: Sequence[float] | None = None, *, right: int = 0) -> ProblemSamples:
    """A problem of samples with such answers, -1 for none; the answer `right` is the correct one."""
    values: Sequence[float | None] = scores or [None] * len(labels)
    rows = [
        sample_row(None if label < 0 else str(label), reference=str(right), index=index, score=score)
        for index, (label, score) in enumerate(zip(labels, values, strict=True))
    ]
    return read_problem_samples(batches(rows)).problems[0]


def synthetic_problems(num_problems: int, num_samples: int, seed: int, *, scored: bool = True) -> list[dict[str, Any]]:
    """Rows of problems of all difficulties, with scores that know a little."""
    chance = np.random.default_rng(seed)
    rows = []
    for place in range(num_problems):
        ease = chance.beta(1, 1)
        for index in range(num_samples):
            is_right = chance.random() < ease
            answer = "7" if is_right else str(8 + chance.geometric(0.5))
            score = float(np.round(chance.beta(4, 2) if is_right else chance.beta(2, 4), 3)) if scored else None
            rows.append(
                sample_row(answer, question=f"Question {place}?", index=index, score=score, level=str(place % 3))
            )
    return rows
