import asyncio
import shutil
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metamath_ray.config import DrawConfig, SampleConfig
from metamath_ray.distributed.sample import scored_batches
from metamath_ray.distributed.scoring import ScoreRunner, check_verifier, plan_scores, read_scores
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError, RequestRejected
from metamath_ray.inference import LabelLogprobs, LabelRequest
from metamath_ray.prompts import VerifierRenderer, load_tokenizer, load_verifier_prompt
from metamath_ray.prompts.verification import VERIFIERS_PATH
from metamath_ray.solving import Verifier
from metamath_ray.storage import RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.samples import solution_id
from metamath_ray.types import OutcomeStatus
from tests.records import make_item, make_outcome


class Judge:
    """Takes every solution for right with probability 0.8, but refuses long ones, and has no number for "odd" ones."""

    model = "judge"

    def __init__(self, odd: tuple[int, ...] = ()) -> None:
        self.odd = odd

    async def label_logprobs(self, request: LabelRequest) -> LabelLogprobs:
        if len(request.token_ids) > 200:
            raise RequestRejected("too long")
        if self.odd and request.token_ids == self.odd:
            return LabelLogprobs(correct=nan, incorrect=nan, num_prompt_tokens=3)
        return LabelLogprobs(correct=-0.5, incorrect=-0.5 - 1.3862943611, num_prompt_tokens=len(request.token_ids))


def verifier_config(**changes: Any) -> SampleConfig:  # noqa: ANN401
    settings = {"problems": {"format": "word_problems"}, "verifier": {"model": "embedded:verifier"}, **changes}
    return SampleConfig.model_validate(settings)


def run_rows(solutions: Sequence[str]) -> list[dict[str, Any]]:
    renderer = VerifierRenderer(load_verifier_prompt("paper"), load_tokenizer(str(checkpoint_path("verifier"))))
    runner = ScoreRunner(Verifier(Judge(renderer.render("1 + 1?", "odd")), renderer))
    rows = [{"item_id": str(place), "question": "1 + 1?", "solution": text} for place, text in enumerate(solutions)]

    async def run() -> list[dict[str, Any]]:
        return [await runner.run(row) for row in rows]

    return asyncio.run(run())


def test_a_solution_gets_s() -> None:
    (row,) = run_rows(["2"])
    assert row["score"] == pytest.approx(0.8)
    assert (row["status"], row["error"]) == ("accepted", "")


def test_what_the_engine_refuses_fails_alone_and_has_no_score() -> None:
    first, second = run_rows(["1 " * 300, "2"])
    assert (first["status"], first["score"], first["error"]) == ("failed", None, "too long")
    assert second["status"] == "accepted"


def test_a_solution_without_a_number_fails_alone() -> None:
    first, second = run_rows(["odd", "2"])
    assert (first["status"], first["score"]) == ("failed", None)
    assert "not a number" in first["error"]
    assert second["status"] == "accepted"


def test_patience_is_looked_at_before_anything_is_drawn() -> None:
    impatient = {"retry_budget_seconds": 200}
    generator = {"kind": "openai", "model": "m", "base_url": "http://x/v1", "timeout_seconds": 10}
    with pytest.raises(ValidationError, match=r"retry_budget_seconds \(200\) must exceed"):
        verifier_config(execution=impatient, engine=generator)
    with pytest.raises(ValidationError, match=r"retry_budget_seconds \(200\) must exceed"):
        DrawConfig.model_validate({"problems": {"format": "word_problems"}, "execution": impatient})


def test_equal_texts_to_one_question_are_scored_once(tmp_path: Path) -> None:
    checked = check_verifier(verifier_config())
    assert checked is not None
    run = RunDirectory(str(tmp_path))
    scores = plan_scores([("a?", "x"), ("a?", "y"), ("a?", "x"), ("b?", "x")], checked, run)
    assert scores.count_plan() == 3


def test_another_verifier_scores_in_a_folder_of_its_own(tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint_path("verifier"), tmp_path / "other")
    first, second = check_verifier(verifier_config()), check_verifier(verifier_config(verifier={"model": str(other)}))
    assert first is not None
    assert second is not None
    assert first.identity != second.identity


def test_a_generator_is_refused_as_a_verifier() -> None:
    with pytest.raises(ModelError, match="was trained as a generator"):
        check_verifier(verifier_config(verifier={"model": "embedded:base"}))


def test_a_verifier_is_refused_another_prompt(tmp_path: Path) -> None:
    paper = (VERIFIERS_PATH / "paper.yaml").read_text(encoding="utf-8")
    other = tmp_path / "other.yaml"
    other.write_text(paper.replace("candidate", "proposed"), encoding="utf-8")
    with pytest.raises(ModelError, match="another verifier prompt"):
        check_verifier(verifier_config(verifier_prompt=str(other)))


def test_scores_join_the_samples_that_they_belong_to(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    items, made = [make_item(number) for number in range(2)], [make_outcome(number) for number in range(2)]
    run.write_plan(item_to_row(item, place) for place, item in enumerate(items))
    run.write_outcomes(
        [outcome_to_row(one, position=place, prompt_set_hash="h", seconds=0.1) for place, one in enumerate(made)], "s"
    )
    problem, solution = made[0].item.problem, made[0].solution
    assert solution is not None
    known = {solution_id(problem.question, solution.text): 0.75}
    (batch,) = scored_batches(run, known)
    assert batch.column("score").to_pylist() == [0.75, 0.75]
    (unknown,) = scored_batches(run, {})
    assert unknown.column("score").to_pylist() == [None, None]


def test_only_what_was_scored_is_read(tmp_path: Path) -> None:
    checked = check_verifier(verifier_config())
    assert checked is not None
    scores = plan_scores([("a?", "x"), ("a?", "y")], checked, RunDirectory(str(tmp_path)))
    ids = [row["item_id"] for batch in scores.plan_batches() for row in batch.to_pylist()]
    row = {"num_prompt_tokens": 1, "error": ""}
    done = {**row, "item_id": ids[0], "status": str(OutcomeStatus.ACCEPTED), "score": 0.5}
    failed = {**row, "item_id": ids[1], "status": str(OutcomeStatus.FAILED), "score": None}
    scores.write_outcomes([done, failed], "s")
    assert read_scores(scores) == {ids[0]: 0.5}
