import json
from pathlib import Path
from typing import Any

import pytest

from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError
from metamath_ray.inference.models import METADATA_FILE
from metamath_ray.inference.scripted import ScriptedLabelScorer
from metamath_ray.prompts import load_verifier_prompt
from metamath_ray.solving import check_golden_scores

QUESTIONS = ("1 + 1?", "1 + 2?")


def verifier_folder(folder: Path, **metadata: Any) -> str:  # noqa: ANN401
    """A folder with a real tokenizer and a description that says what the verifier scored."""
    for file in checkpoint_path("verifier").glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    golden = [{"question": question, "solution": "2", "score": 0.8} for question in QUESTIONS]
    prompt = load_verifier_prompt("paper").model_dump(mode="json")
    described = {"kind": "verifier", "verifier_prompt": prompt, "golden_scores": golden, **metadata}
    (folder / METADATA_FILE).write_text(json.dumps(described))
    return str(folder)


async def test_scores_as_trained_pass_and_each_is_asked_for(tmp_path: Path) -> None:
    scorer = ScriptedLabelScorer(lambda _: 0.81)
    await check_golden_scores(scorer, verifier_folder(tmp_path))
    assert len({request.token_ids for request in scorer.requests}) == len(QUESTIONS)


async def test_one_other_score_is_an_error_that_says_by_how_much(tmp_path: Path) -> None:
    scores = iter([0.8, 0.7])
    with pytest.raises(ModelError, match=r"scripted gives scores up to 0\.100 away from those of its training"):
        await check_golden_scores(ScriptedLabelScorer(lambda _: next(scores)), verifier_folder(tmp_path))


@pytest.mark.parametrize("name", ["owner/verifier", str(checkpoint_path("teacher"))])
async def test_a_model_without_golden_scores_is_not_asked(name: str) -> None:
    scorer = ScriptedLabelScorer(lambda _: 0.5)
    await check_golden_scores(scorer, name)
    assert not scorer.requests


async def test_golden_scores_without_their_prompt_are_refused(tmp_path: Path) -> None:
    folder = verifier_folder(tmp_path, verifier_prompt=None)
    with pytest.raises(ModelError, match="without the verifier's prompt"):
        await check_golden_scores(ScriptedLabelScorer(lambda _: 0.8), folder)
