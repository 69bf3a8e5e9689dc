from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.prompts import Renderer, load_prompt_set
from metamath_ray.training.muon import orthogonalize
from metamath_ray.training.pretraining import (
    IGNORED,
    PROMPT_SET,
    ModelSettings,
    RowEncoder,
    StageSettings,
    learning_rate_at,
    new_model,
    save_checkpoint,
    train_stage,
    train_tokenizer,
)
from metamath_ray.training.pretraining_tasks import TASKS, rows, text_of

MIXTURE = dict.fromkeys(TASKS, 1.0)
TINY = ModelSettings(vocab_size=400, hidden_size=32, num_layers=1, num_heads=1, intermediate_size=64)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    prompt_set = load_prompt_set(PROMPT_SET)
    return train_tokenizer(400, (text_of(row, prompt_set) for row in islice(rows(MIXTURE, "t"), 200)), 512)


def _train(tokenizer: PreTrainedTokenizerFast, settings: StageSettings) -> tuple[LlamaForCausalLM, list[float]]:
    torch.manual_seed(0)
    model, losses = new_model(TINY, tokenizer), []
    train_stage(model, tokenizer, settings, "seed", lambda _, figures: losses.append(figures["loss"]))
    return model, losses


def test_training_learns_and_repeats_exactly(tokenizer: PreTrainedTokenizerFast) -> None:
    settings = StageSettings(
        mixture=MIXTURE, loss_on_prompt=False, num_steps=8, rows_per_step=6, warmup_steps=1, eval_every=1
    )
    _, losses = _train(tokenizer, settings)
    assert losses[-1] < losses[0] - 0.3
    assert _train(tokenizer, settings)[1] == losses


def test_loss_covers_the_response_and_its_end_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    row = next(rows({"statement": 1.0}, "r"))
    encoder = RowEncoder(Renderer(load_prompt_set(PROMPT_SET), tokenizer), tokenizer.pad_token_id, loss_on_prompt=False)
    [batch] = encoder.batches(encoder.encode([row]), 1)
    learned = batch.targets[0][batch.targets[0] != IGNORED].tolist()
    assert tokenizer.decode(learned) == f" {row.response}<|eos|>"
    assert batch.input_ids[0, 0] == tokenizer.bos_token_id


def test_micro_batches_hold_each_row_once(tokenizer: PreTrainedTokenizerFast) -> None:
    some = list(islice(rows(MIXTURE, "m"), 30))
    encoder = RowEncoder(Renderer(load_prompt_set(PROMPT_SET), tokenizer), tokenizer.pad_token_id, loss_on_prompt=True)
    assert sum(batch.input_ids.shape[0] for batch in encoder.batches(encoder.encode(some), 4)) == 30


def test_rows_repeat_with_their_seed() -> None:
    assert list(islice(rows(MIXTURE, "a"), 20)) == list(islice(rows(MIXTURE, "a"), 20))
    assert list(islice(rows(MIXTURE, "a"), 20)) != list(islice(rows(MIXTURE, "b"), 20))


def test_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    settings = StageSettings(mixture=MIXTURE, loss_on_prompt=False, num_steps=100, warmup_steps=10, decay_steps=50)
    rates = [learning_rate_at(step, settings) / settings.learning_rate for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[20] == rates[49] == 1.0
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0.0


@pytest.mark.parametrize("shape", [(2, 16, 40), (1, 40, 16)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_checkpoint_is_bfloat16_and_complete(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_checkpoint(new_model(TINY, tokenizer), tokenizer, tmp_path, {"kind": "generator"})
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "metamath_ray.json"} <= {
        file.name for file in tmp_path.iterdir()
    }
    assert LlamaForCausalLM.from_pretrained(tmp_path).dtype == torch.bfloat16
