import json
from typing import cast, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.embedded import EmbeddedName, checkpoint_path
from metamath_ray.prompts import load_prompt_set, load_verifier_prompt

NAMES = get_args(EmbeddedName)
GENERATORS: tuple[EmbeddedName, ...] = ("teacher", "base")
TOKENIZER = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(checkpoint_path("teacher")))


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_is_small_and_loads_as_a_plain_llama(name: EmbeddedName) -> None:
    folder = checkpoint_path(name)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8_000_000
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = TOKENIZER.encode("Question: What is 2 + 2?\nSolution:", add_special_tokens=False)
    assert torch.isfinite(model(torch.tensor([ids])).logits).all()
    assert model.generation_config.eos_token_id == TOKENIZER.eos_token_id


@pytest.mark.parametrize("name", GENERATORS)
def test_manifest_and_card(name: EmbeddedName) -> None:
    folder = checkpoint_path(name)
    manifest = json.loads((folder / "metamath_ray.json").read_text(encoding="utf-8"))
    assert manifest["kind"] == "generator"
    assert manifest["prompt_set"] == "embedded"
    assert manifest["prompt_set_hash"] in (None, load_prompt_set("embedded").hash)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "jobs/pretrain_embedded.py" in card
    assert (folder / "tokenizer.json").read_bytes() == (checkpoint_path("teacher") / "tokenizer.json").read_bytes()


def test_the_verifier_says_how_it_was_made_and_what_it_scores() -> None:
    folder = checkpoint_path("verifier")
    manifest = json.loads((folder / "metamath_ray.json").read_text(encoding="utf-8"))
    assert (manifest["kind"], manifest["parent"]) == ("verifier", "runs/likelihood_reader")
    assert manifest["verifier_prompt_hash"] == load_verifier_prompt("embedded").hash
    assert len({golden["score"] for golden in manifest["golden_scores"]}) > 1
    card = (folder / "README.md").read_text(encoding="utf-8")
    for made_by in ("pretrain_verifier", "finetune_word_problems_verifier"):
        assert f"jobs/configs/{made_by}.yaml" in card
    assert (folder / "tokenizer.json").read_bytes() == (checkpoint_path("teacher") / "tokenizer.json").read_bytes()


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text or any(token in text for token in TOKENIZER.all_special_tokens)


def test_each_digit_is_a_token_and_bos_is_not_added() -> None:
    ids = TOKENIZER.encode("has 1234 apples for $5.50", add_special_tokens=False)
    tokens = [TOKENIZER.decode([token]) for token in ids]
    assert [token for token in tokens if any(c.isdigit() for c in token)] == ["1", "2", "3", "4", "5", "5", "0"]
    assert TOKENIZER.bos_token_id not in TOKENIZER.encode("text")
    assert len({TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id}) == 3
