import json
from pathlib import Path

import pytest

from metamath_ray.errors import ModelError
from metamath_ray.inference.models import (
    check_kind,
    check_prompt_set,
    model_hash,
    read_metadata,
    resolve_model,
    verifier_prompt_for,
)
from metamath_ray.prompts import load_verifier_prompt


def make_model(folder: Path, weights: bytes = b"w", metadata: str = "{}") -> str:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "metamath_ray.json").write_text(metadata)
    return str(folder)


def test_a_folder_an_embedded_model_and_a_hub_name_resolve(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model")
    assert resolve_model(folder) == folder
    assert Path(resolve_model("embedded:teacher"), "config.json").is_file()
    assert resolve_model("Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"


@pytest.mark.parametrize("name", ["embedded:giant", "./missing", "/missing/model", "just-a-word", "a/b/c"])
def test_what_is_no_model_says_what_to_give(name: str) -> None:
    with pytest.raises(ModelError, match="embedded:teacher"):
        resolve_model(name)


def test_a_models_hash_follows_its_content_not_its_place(tmp_path: Path) -> None:
    first, copy = make_model(tmp_path / "a"), make_model(tmp_path / "b")
    other = make_model(tmp_path / "c", weights=b"other")
    assert model_hash(first) == model_hash(copy) != model_hash(other)


def test_a_model_is_not_asked_in_words_it_was_not_taught(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", metadata='{"prompt_set": "embedded", "prompt_set_hash": "aaa"}')
    check_prompt_set(folder, name="embedded", prompt_set_hash="aaa")
    with pytest.raises(ModelError, match=r"trained on prompt set 'embedded' \(aaa\)"):
        check_prompt_set(folder, name="metamath", prompt_set_hash="bbb")


def test_a_verifier_is_not_asked_to_write_solutions_nor_a_generator_to_judge(tmp_path: Path) -> None:
    verifier = make_model(tmp_path / "verifier", metadata='{"kind": "verifier"}')
    generator = make_model(tmp_path / "generator", metadata='{"kind": "generator"}')
    with pytest.raises(ModelError, match="was trained as a verifier, and is asked to be a generator"):
        check_kind(verifier, "generator")
    with pytest.raises(ModelError, match="was trained as a generator, and is asked to be a verifier"):
        check_kind(generator, "verifier")


def test_a_model_of_both_tasks_or_of_unknown_training_may_do_either(tmp_path: Path) -> None:
    for folder in (make_model(tmp_path / "both", metadata='{"kind": "both"}'), make_model(tmp_path / "foreign")):
        check_kind(folder, "generator")
        check_kind(folder, "verifier")


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"metamath_ray\.json: damaged"):
        read_metadata(make_model(tmp_path / "model", metadata="{"))


def test_a_verifier_is_asked_in_its_own_words_unless_others_are_named(tmp_path: Path) -> None:
    own = load_verifier_prompt("embedded")
    metadata = json.dumps({"verifier_prompt": own.model_dump(mode="json"), "verifier_prompt_hash": own.hash})
    ours, foreign = make_model(tmp_path / "ours", metadata=metadata), make_model(tmp_path / "foreign")
    assert verifier_prompt_for(ours, None) == verifier_prompt_for(ours, "embedded") == own
    assert verifier_prompt_for(foreign, None) == load_verifier_prompt("paper")
    assert verifier_prompt_for(foreign, "embedded") == own
    with pytest.raises(ModelError, match=r"another verifier prompt .* than 'paper' .* leave verifier_prompt out"):
        verifier_prompt_for(ours, "paper")
