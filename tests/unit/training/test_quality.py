from dataclasses import asdict
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase

from metamath_ray.config import HeldOutConfig, SourceConfig
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import DataError
from metamath_ray.prompts import VerifierRenderer, load_prompt_set, load_verifier_prompt
from metamath_ray.statistics import rate
from metamath_ray.training import quality
from metamath_ray.training.quality import (
    ROWS_AT_ONCE,
    measure_generator,
    measure_verifier,
    read_held_out,
    score_samples,
    solve_held_out,
)
from metamath_ray.training.stage_data import JudgedSample
from metamath_ray.types import Completion, FinishReason

BASE = str(checkpoint_path("base"))
SAMPLES = [
    JudgedSample(
        problem_id=f"p{number // 4}",
        question=f"Ann has {number} pears and buys 4 more. How many?",
        completion=f"{number} + 4 = {number + 4 + number % 2}",
        is_correct=number % 2 == 0,
    )
    for number in range(ROWS_AT_ONCE + 3)
]


def test_scores_are_those_of_each_sample_alone(embedded_tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = VerifierRenderer(load_verifier_prompt("paper"), embedded_tokenizer)
    found = score_samples(BASE, SAMPLES, renderer=renderer, device="cpu")
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    expected = []
    for sample in SAMPLES:
        prompt = renderer.render(sample.question, sample.completion)
        with torch.inference_mode():
            probabilities = model(torch.tensor([prompt])).logits[0, -1].double().softmax(0)
        correct, incorrect = (float(probabilities[label]) for label in renderer.label_token_ids)
        expected.append(correct / (correct + incorrect))
    assert found == pytest.approx(expected, rel=1e-4)
    assert len(set(found)) == len(SAMPLES)


def test_no_sample_has_no_score(embedded_tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = VerifierRenderer(load_verifier_prompt("paper"), embedded_tokenizer)
    assert score_samples(BASE, [], renderer=renderer, device="cpu") == []


def test_a_verifier_is_compared_with_the_verdicts_over_all_and_within_problems() -> None:
    scores = [1 / (1 + exp(number % 2)) for number in range(len(SAMPLES))]
    found = measure_verifier(SAMPLES, scores)
    assert (found["auc"], found["within_problem_auc"]) == (1.0, 1.0)
    assert found["num_correct"] == sum(sample.is_correct for sample in SAMPLES)
    assert measure_verifier(SAMPLES, [1 - score for score in scores])["auc"] == 0.0


def completed(text: str, *, is_truncated: bool) -> Completion:
    reason = FinishReason.LENGTH if is_truncated else FinishReason.STOP
    return Completion(
        text=text, finish_reason=reason, num_prompt_tokens=9, num_completion_tokens=8, seed=0, model="scripted"
    )


def held_out(**source: Any) -> HeldOutConfig:  # noqa: ANN401
    problems = SourceConfig.model_validate({"format": "word_problems", "limit": 6, **source})
    return HeldOutConfig(problems=problems, max_tokens=8, batch_size=4)


def test_a_generator_is_measured_by_its_graded_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers are scripted: right, wrong, right but cut off, and no answer at all."""
    config = held_out(split="validation", seed=1)
    problems = read_held_out(config).problems
    right = [f"So it is.\nThe answer is: {problem.reference_answer}" for problem in problems]
    answers = [
        completed(right[0], is_truncated=False),
        completed("The answer is: 123456789", is_truncated=False),
        completed(right[2], is_truncated=True),
        completed("", is_truncated=False),
        completed(right[4], is_truncated=False),
        completed("", is_truncated=True),
    ]
    asked: list[str] = []

    class Scripted:
        def __init__(self, *_: object, max_new_tokens: int, batch_size: int) -> None:
            assert (max_new_tokens, batch_size) == (8, 4)

        def __call__(self, _: object, fields: list[dict[str, str]], *, source: str) -> list[Completion]:
            assert source == "word_problems"
            asked.extend(field["question"] for field in fields)
            return answers

    monkeypatch.setattr(quality, "Generator", Scripted)
    solutions = solve_held_out(BASE, problems, config, prompt_set=load_prompt_set("embedded"), device="cpu")
    found = measure_generator(solutions)
    rows = solutions.to_pylist()
    assert [row["reason"] for row in rows] == ["", "wrong_answer", "truncated", "no_answer", "", "truncated"]
    assert [row["problem_id"] for row in rows] == [problem.problem_id for problem in problems]
    assert [row["completion"] for row in rows] == [answer.text for answer in answers]
    assert asked == [problem.question for problem in problems]
    assert found["accuracy"] == asdict(rate([True, True, False, False, False, False]))
    assert (found["truncated"]["num_hits"], found["truncated"]["num"]) == (2, 6)
    assert sum(figures["num"] for figures in found["by_steps"].values()) == 6
    assert sum(figures["num_hits"] for figures in found["by_steps"].values()) == 2


def test_the_embedded_base_can_be_measured() -> None:
    config = held_out(split="validation")
    prompt_set = load_prompt_set("embedded")
    solutions = solve_held_out(BASE, read_held_out(config).problems, config, prompt_set=prompt_set, device="cpu")
    found = measure_generator(solutions)
    assert {row["num_completion_tokens"] for row in solutions.to_pylist()} == {8}
    assert found["truncated"]["num_hits"] == found["accuracy"]["num"] == 6  # 8 tokens are too few
    assert found["accuracy"]["rate"] == 0.0


@pytest.mark.parametrize("split", ["train", None])
def test_a_generator_is_not_measured_on_problems_it_may_have_learned(split: str | None) -> None:
    with pytest.raises(DataError, match=r'belongs to the split "train"; set held_out.problems.split'):
        read_held_out(held_out(split=split))


def test_a_malformed_problem_is_skipped_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"problem": "What is 1 + 1?", "solution": "$\\\\boxed{2}$"}\n{"problem": "Q"}\n', encoding="utf-8")
    source = {"format": "math", "path": str(path)}
    found = read_held_out(held_out(**source, skip_invalid=True))
    assert [problem.reference_answer for problem in found.problems] == ["2"]
    assert ["test.jsonl:2" in said for said in found.invalid] == [True]
    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        read_held_out(held_out(**source))
