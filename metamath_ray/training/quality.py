"""What a trained model is worth: greedy accuracy of a generator, scores and their order of a verifier."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from metamath_ray.config import HeldOutConfig
from metamath_ray.datasets import ProblemSource, read_problems
from metamath_ray.evaluation import rate
from metamath_ray.grading import grade
from metamath_ray.prompts import Renderer, Task, VerifierRenderer, load_prompt_set
from metamath_ray.training.attention import PACKED_ATTENTION
from metamath_ray.training.generation import Generator
from metamath_ray.training.losses import LabelTokens, packed_logits
from metamath_ray.training.packing import pack
from metamath_ray.training.units import Unit, UnitKind
from metamath_ray.types import GradeVerdict
from metamath_ray.verifier import measure, score

ROWS_AT_ONCE = 16
"""Solutions that are scored in one packed batch."""


def measure_generator(folder: str, config: HeldOutConfig, *, prompt_set: str, device: str) -> dict[str, Any]:
    """Solve held-out problems greedily and grade the solutions; what is cut off is not right.

    Returns:
        `accuracy` and `truncated` as rates with intervals, and `by_steps` where the problems know their steps.
    """
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device)
    generate = Generator(
        model,
        tokenizer,
        Renderer(load_prompt_set(prompt_set), tokenizer),
        max_new_tokens=config.max_tokens,
        batch_size=config.batch_size,
    )
    problems = list(read_problems(ProblemSource(**config.problems.model_dump(exclude={"skip_invalid"}))))
    asked = [{"question": problem.question} for problem in problems]
    samples = generate(Task.SOLVE, asked, source=problems[0].source)
    right = [
        not sample.is_truncated and grade(sample.text, problem.reference_answer).verdict is GradeVerdict.CORRECT
        for sample, problem in zip(samples, problems, strict=True)
    ]
    steps = sorted({problem.num_steps for problem in problems if problem.num_steps})
    return {
        "accuracy": asdict(rate(right)),
        "truncated": asdict(rate([sample.is_truncated for sample in samples])),
        "by_steps": {
            str(number): asdict(rate([hit for hit, p in zip(right, problems, strict=True) if p.num_steps == number]))
            for number in steps
        },
    }


def score_samples(
    folder: str, rows: Sequence[Mapping[str, Any]], *, renderer: VerifierRenderer, device: str
) -> list[float]:
    """Return S of each row of `SAMPLE_SCHEMA`, from the log-probabilities of the two labels."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=PACKED_ATTENTION)
    model.to(device).eval()
    labels = LabelTokens(*renderer.label_token_ids)
    scores: list[float] = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        units = [_judged(renderer.render(row["problem"]["question"], row["completion"])) for row in part]
        with torch.inference_mode():
            logprobs = packed_logits(model, pack(units).to(model.device)).log_softmax(1)
        pairs = logprobs[:, [labels.correct, labels.incorrect]].tolist()
        scores.extend(score(correct, incorrect) for correct, incorrect in pairs)
    return scores


def _judged(token_ids: tuple[int, ...]) -> Unit:
    return Unit(kind=UnitKind.JUDGED, token_ids=(token_ids,), num_prompt_tokens=(len(token_ids),), labels=(False,))


def measure_verifier(rows: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> dict[str, Any]:
    """Compare scores with the verdicts of held-out samples, over all of them and within problems."""
    labels = [row["verdict"] == GradeVerdict.CORRECT for row in rows]
    return asdict(measure(scores, labels, [row["problem_id"] for row in rows]))
