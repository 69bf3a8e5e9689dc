"""What the embedded models can do, measured by rule: solving, reasoning backward, rewording, restating."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.datasets.word_problems import (
    Split,
    WordProblem,
    generate_structures,
    is_wording_of,
    keeps_answer,
    last_sentence_pairs,
    maskable_places,
    to_problem,
    write_backward,
    write_question,
)
from metamath_ray.prompts import Renderer, Task, load_prompt_set
from metamath_ray.training.generation import Generator
from metamath_ray.training.pretraining import PROMPT_SET
from metamath_ray.training.pretraining_tasks import SOURCE
from metamath_ray.types import Completion

_ENDINGS = ("The answer is: ", "The value of x is ")


class Sampler:
    """Asks an embedded model in the words it was taught."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self._generate = Generator(model, tokenizer, Renderer(load_prompt_set(PROMPT_SET), tokenizer))

    def __call__(self, task: Task, asked: Sequence[Mapping[str, str]], temperature: float = 0.0) -> list[Completion]:
        """One sample for each set of prompt fields; greedy at temperature 0."""
        return self._generate(task, asked, source=SOURCE, temperature=temperature)


def final_answer(sample: Completion) -> Fraction | None:
    """The number that the last line states; none if the text was cut off or states none."""
    last_line = sample.text.rsplit("\n", 1)[-1]
    for ending in _ENDINGS:
        if not sample.is_truncated and last_line.startswith(ending):
            try:
                return Fraction(last_line.removeprefix(ending).removesuffix("."))
            except (ValueError, ZeroDivisionError):
                return None
    return None


def rate(hits: Sequence[bool]) -> dict[str, float]:
    """Share and count."""
    return {"rate": round(sum(hits) / max(1, len(hits)), 4), "n": len(hits)}


def evaluate_solving(sampler: Sampler, split: Split, num_problems: int, seed: int) -> dict[str, Any]:
    """Greedy accuracy, in all and by number of steps, and the share of truncated solutions."""
    structures = list(generate_structures(split, num_problems, seed))
    problems = [to_problem(structure, seed=seed) for structure in structures]
    samples = sampler(Task.SOLVE, [{"question": problem.question} for problem in problems])
    by_steps: dict[int, list[bool]] = defaultdict(list)
    for structure, sample in zip(structures, samples, strict=True):
        by_steps[structure.num_steps].append(final_answer(sample) == structure.answer)
    return {
        "greedy": rate([hit for hits in by_steps.values() for hit in hits]),
        "greedy_by_steps": {str(steps): rate(by_steps[steps]) for steps in sorted(by_steps)},
        "truncated": rate([sample.is_truncated for sample in samples]),
    }


def evaluate_sampling(
    sampler: Sampler, split: Split, num_problems: int, seed: int, num_samples: int = 16, temperature: float = 0.7
) -> dict[str, Any]:
    """Share of right samples and of problems that any sample solves."""
    structures = list(generate_structures(split, num_problems, seed))
    asked = [{"question": to_problem(structure, seed=seed).question} for structure in structures]
    samples = sampler(Task.SOLVE, [fields for fields in asked for _ in range(num_samples)], temperature)
    groups = [samples[start : start + num_samples] for start in range(0, len(samples), num_samples)]
    right = [
        [final_answer(sample) == structure.answer for sample in group]
        for structure, group in zip(structures, groups, strict=True)
    ]
    return {
        "temperature": temperature,
        "num_samples": num_samples,
        "mean_accuracy": rate([hit for hits in right for hit in hits]),
        "pass_at_n": rate([any(hits) for hits in right]),
        "always_right": rate([all(hits) for hits in right]),
        "distinct_solutions": round(sum(len({s.text for s in group}) for group in groups) / len(groups), 2),
        "truncated": rate([sample.is_truncated for sample in samples]),
    }


def evaluate_backward(sampler: Sampler, split: Split, num_problems: int, seed: int) -> dict[str, Any]:
    """Greedy accuracy on both forms of backward question, one hidden number a problem."""
    structures = list(generate_structures(split, num_problems, seed))
    places = [random.Random(f"place:{s.content_key}").choice(maskable_places(s)) for s in structures]
    results: dict[str, Any] = {}
    for form in ("self_verification", "fobar"):
        asked = [
            write_backward(s, p, form, seed + i, 0) for i, (s, p) in enumerate(zip(structures, places, strict=True))
        ]
        samples = sampler(Task.SOLVE_BACKWARD, [{"question": problem.question} for problem in asked])
        results[form] = rate(
            [final_answer(sample) == Fraction(problem.answer) for sample, problem in zip(samples, asked, strict=True)]
        )
    return results


def evaluate_rewriting(
    sampler: Sampler, split: Split, num_problems: int, seed: int, temperature: float = 0.7
) -> dict[str, Any]:
    """Share of rewrites that say the same problem, and of statements that say the last sentence with its answer.

    A lower bound: only wordings of the world's own table count.
    """
    structures = list(generate_structures(split, num_problems, seed))
    questions = [write_question(structure, _wording(structure)) for structure in structures]
    rewrites = sampler(Task.REPHRASE, [{"question": question.text} for question in questions], temperature)
    kept = _kept(structures, rewrites, is_wording_of)
    changed = [sample.text != question.text for sample, question in zip(rewrites, questions, strict=True)]
    asked = [
        {"question": question.ask, "answer": to_problem(structure).reference_answer}
        for question, structure in zip(questions, structures, strict=True)
    ]
    statements = _kept(structures, sampler(Task.STATEMENT, asked), _is_statement_of)
    return {
        "temperature": temperature,
        "rewrites_keeping_the_answer": rate(_kept(structures, rewrites, keeps_answer)),
        "rewrites_kept": rate(kept),
        "rewrites_kept_and_new": rate([a and b for a, b in zip(kept, changed, strict=True)]),
        "statements_kept": rate(statements),
    }


def evaluate_all(sampler: Sampler, split: Split, num_problems: int, seed: int) -> dict[str, Any]:
    """Everything that a card states."""
    return {
        "split": split,
        "seed": seed,
        "solving": evaluate_solving(sampler, split, num_problems, seed),
        "sampling": evaluate_sampling(sampler, split, max(1, num_problems // 2), seed),
        "backward": evaluate_backward(sampler, split, num_problems, seed),
        "rewriting": evaluate_rewriting(sampler, split, num_problems, seed),
    }


def _wording(structure: WordProblem) -> int:
    return int(structure.content_key[:8], 16)


def _kept(
    structures: Sequence[WordProblem], samples: Sequence[Completion], test: Callable[[WordProblem, str], bool]
) -> list[bool]:
    return [
        not sample.is_truncated and test(structure, sample.text)
        for structure, sample in zip(structures, samples, strict=True)
    ]


def _is_statement_of(structure: WordProblem, text: str) -> bool:
    return text in {statement for _, statement in last_sentence_pairs(structure)}
