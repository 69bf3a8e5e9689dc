"""What a trained model is worth: greedy accuracy of a generator, scores and their order of a verifier."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from metamath_ray.config import HeldOutConfig
from metamath_ray.datasets.reading import read_configured
from metamath_ray.datasets.records import shown
from metamath_ray.errors import DataError
from metamath_ray.grading import grade, rejection
from metamath_ray.prompts import PromptSet, Renderer, Task, VerifierRenderer
from metamath_ray.statistics import rate
from metamath_ray.storage.samples import SAMPLE_SCHEMA, sample_to_row
from metamath_ray.training.attention import PACKED_ATTENTION
from metamath_ray.training.generation import Generator
from metamath_ray.training.losses import LabelTokens, packed_logits
from metamath_ray.training.packing import pack
from metamath_ray.training.stage_data import JudgedSample
from metamath_ray.training.units import Unit, UnitKind
from metamath_ray.types import Completion, GradeVerdict, Problem, RejectionReason
from metamath_ray.verifier import measure, score

ROWS_AT_ONCE = 16
"""Solutions that are scored in one packed batch."""


class HeldOut(NamedTuple):
    """Problems to measure on, and the messages of malformed records that were skipped, where they may be."""

    problems: list[Problem]
    invalid: list[str]


def read_held_out(config: HeldOutConfig) -> HeldOut:
    """Read the problems to measure a generator on.

    Raises:
        DataError: A problem is malformed, or belongs to the split "train".
    """
    reading = read_configured(config.problems)
    problems = list(reading)
    if learned := next((problem for problem in problems if problem.split == "train"), None):
        what = shown(learned.source_id or learned.question)
        raise DataError(f'held_out: {what} belongs to the split "train"; set held_out.problems.split')
    return HeldOut(problems, reading.invalid)


def _load(folder: str, device: str, **settings: str) -> PreTrainedModel:
    """Load a model onto the CPU, or in bfloat16 over all GPUs that this process sees."""
    if device == "cuda":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="auto", **settings)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **settings)


def solve_held_out(
    folder: str, problems: Sequence[Problem], config: HeldOutConfig, *, prompt_set: PromptSet, device: str
) -> pa.Table:
    """Solve held-out problems greedily and grade the solutions.

    Returns:
        A row of `SAMPLE_SCHEMA` for each problem, in their order.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    generate = Generator(
        _load(folder, device),
        tokenizer,
        Renderer(prompt_set, tokenizer),
        max_new_tokens=config.max_tokens,
        batch_size=config.batch_size,
    )
    asked = [{"question": problem.question} for problem in problems]
    completions = generate(Task.SOLVE, asked, source=problems[0].source)
    rows = [_graded(problem, completion, prompt_set) for problem, completion in zip(problems, completions, strict=True)]
    return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)


def _graded(problem: Problem, completion: Completion, prompt_set: PromptSet) -> dict[str, Any]:
    found = None if completion.is_truncated else grade(completion.text, problem.reference_answer)
    return sample_to_row(
        problem,
        completion,
        sample_index=0,
        extracted_answer=found.extracted_answer if found else None,
        reason=RejectionReason.TRUNCATED if found is None else rejection(found) or "",
        prompt_set_hash=prompt_set.hash,
    )


def measure_generator(solutions: pa.Table) -> dict[str, Any]:
    """Count what is right in a table of `SAMPLE_SCHEMA`; what was cut off is not.

    Returns:
        `accuracy` and `truncated` as rates with intervals, and `by_steps` where the problems know their steps.
    """
    rows = solutions.select(["verdict", "reason", "problem"]).to_pylist()
    by_steps = defaultdict[int, list[bool]](list)
    for row in rows:
        if row["problem"]["num_steps"]:
            by_steps[row["problem"]["num_steps"]].append(row["verdict"] == GradeVerdict.CORRECT)
    return {
        "accuracy": asdict(rate([row["verdict"] == GradeVerdict.CORRECT for row in rows])),
        "truncated": asdict(rate([row["reason"] == RejectionReason.TRUNCATED for row in rows])),
        "by_steps": {str(steps): asdict(rate(hits)) for steps, hits in sorted(by_steps.items())},
    }


def score_samples(
    folder: str, samples: Sequence[JudgedSample], *, renderer: VerifierRenderer, device: str
) -> list[float]:
    """Return S of each sample, from the log-probabilities of the two labels."""
    model = _load(folder, device, attn_implementation=PACKED_ATTENTION).eval()
    labels = LabelTokens(*renderer.label_token_ids)
    scores: list[float] = []
    for start in range(0, len(samples), ROWS_AT_ONCE):
        part = samples[start : start + ROWS_AT_ONCE]
        units = [_judged(renderer.render(sample.question, sample.completion)) for sample in part]
        with torch.inference_mode():
            logprobs = packed_logits(model, pack(units).to(model.device)).log_softmax(1)
        pairs = logprobs[:, [labels.correct, labels.incorrect]].tolist()
        scores.extend(score(correct, incorrect) for correct, incorrect in pairs)
    return scores


def _judged(token_ids: tuple[int, ...]) -> Unit:
    return Unit(kind=UnitKind.JUDGED, token_ids=(token_ids,), num_prompt_tokens=(len(token_ids),), labels=(False,))


def measure_verifier(samples: Sequence[JudgedSample], scores: Sequence[float]) -> dict[str, Any]:
    """Compare scores with the verdicts of held-out samples, over all of them and within problems."""
    labels, problem_ids = [sample.is_correct for sample in samples], [sample.problem_id for sample in samples]
    return asdict(measure(scores, labels, problem_ids))
