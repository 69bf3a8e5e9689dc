"""Packing changes where tokens lie, and nothing else (trl#3910: rows that see each other cost 0.03 to 0.15 of loss)."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedModel

from metamath_ray.errors import ModelError
from metamath_ray.training.attention import PACKED_ATTENTION
from metamath_ray.training.losses import packed_logits
from metamath_ray.training.packing import PackedBatch, pack
from metamath_ray.training.units import Unit, UnitKind
from tests.unit.training.tiny import ARCHITECTURES, VOCABULARY, logits_alone, make_model, make_units

MIXED = make_units(
    3,
    UnitKind.JUDGED,
    UnitKind.SOLUTION,
    UnitKind.PAIR,
    UnitKind.SOLUTION,
    UnitKind.PAIR,
    UnitKind.JUDGED,
    UnitKind.SOLUTION,
)
ORDERED = [unit for kind in (UnitKind.SOLUTION, UnitKind.PAIR, UnitKind.JUDGED) for unit in MIXED if unit.kind is kind]


def used_alone(model: PreTrainedModel, units: list[Unit]) -> Tensor:
    """The scores that the units use, each sequence computed by itself."""
    rows = []
    for unit in units:
        for sequence, given in zip(unit.token_ids, unit.num_prompt_tokens, strict=True):
            logits = logits_alone(model, sequence)
            rows.append(logits[given - 1 : -1] if unit.kind is UnitKind.SOLUTION else logits[-1:])
    return torch.cat(rows)


def gradients(model: PreTrainedModel, scores: Tensor) -> dict[str, Tensor]:
    factors = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1))
    model.zero_grad()
    torch.autograd.backward((scores * factors).sum())
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_packed_scores_and_gradients_are_those_of_each_sequence_alone(architecture: str, checkpointing: bool) -> None:
    packed, plain = make_model(architecture), make_model(architecture, "sdpa")
    packed.train()
    if checkpointing:
        packed.activation_checkpointing_enable({"use_reentrant": False})
    scores, expected = packed_logits(packed, pack(MIXED)), used_alone(plain, ORDERED)
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    found, wanted = gradients(packed, scores), gradients(plain, expected)
    assert found.keys() == wanted.keys() == dict(packed.named_parameters()).keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def sequence_of_place(batch: PackedBatch) -> Tensor:
    return torch.bucketize(batch.places, batch.boundaries[1:], right=True)


@pytest.mark.parametrize("changed", range(5))
def test_a_change_in_one_sequence_changes_nothing_in_its_neighbours(changed: int) -> None:
    model, batch = make_model(), pack(MIXED)
    first, end = int(batch.boundaries[changed]), int(batch.boundaries[changed + 1])
    ids = batch.input_ids.clone()
    ids[0, first:end] = (ids[0, first:end] + 11) % VOCABULARY
    with torch.inference_mode():
        before, after = packed_logits(model, batch), packed_logits(model, replace(batch, input_ids=ids))
    own = sequence_of_place(batch) == changed
    assert torch.equal(before[~own], after[~own])
    assert not torch.isclose(before[own], after[own]).any(dim=1).all()


def test_solutions_come_first_then_pairs_then_single_judged_ones() -> None:
    batch = pack(MIXED)
    sequences = [sequence for unit in ORDERED for sequence in unit.token_ids]
    ids, bounds = batch.input_ids[0].tolist(), batch.boundaries.tolist()
    assert [tuple(ids[start:end]) for start, end in pairwise(bounds)] == sequences
    assert batch.position_ids[0].tolist() == [place for sequence in sequences for place in range(len(sequence))]
    assert (batch.longest, batch.num_pairs) == (max(map(len, sequences)), 2)
    assert batch.labels.tolist() == [label for unit in ORDERED for label in unit.labels]
    assert batch.labels[:4].tolist() == [True, False, True, False]


def test_each_place_predicts_the_token_behind_it() -> None:
    batch = pack(MIXED)
    learned = batch.places[: len(batch.targets)]
    assert torch.equal(batch.input_ids[0, learned + 1], batch.targets)
    assert batch.targets.tolist() == [
        token for unit in ORDERED[:3] for token in unit.token_ids[0][unit.num_prompt_tokens[0] :]
    ]
    ends = {int(end) - 1 for end in batch.boundaries[1:]}
    assert not ends & set(learned.tolist())
    assert set(batch.places[len(batch.targets) :].tolist()) <= ends


@pytest.mark.parametrize("kind", list(UnitKind))
def test_a_batch_of_one_kind_has_whole_numbers_and_truth_values(kind: UnitKind) -> None:
    batch = pack(make_units(1, kind, kind))
    assert (batch.targets.dtype, batch.places.dtype, batch.labels.dtype) == (torch.int64, torch.int64, torch.bool)
    assert len(batch.places) == len(batch.targets) + len(batch.labels)


def test_moving_a_batch_moves_every_tensor_of_it() -> None:
    moved = pack(MIXED).to(torch.device("meta"))
    assert {value.device.type for value in vars(moved).values() if isinstance(value, Tensor)} == {"meta"}


def test_a_model_that_needs_more_than_this_attention_is_refused() -> None:
    settings = ARCHITECTURES["llama"].to_dict() | {"head_dim": 8, "num_key_value_heads": 2, "query_pre_attn_scalar": 8}
    sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    config = Gemma2Config(**{name: settings[name] for name in (*sizes, "head_dim", "num_key_value_heads")})
    config._attn_implementation = PACKED_ATTENTION
    with pytest.raises(ModelError, match="Gemma2Attention needs 'softcap'"):
        packed_logits(Gemma2ForCausalLM(config), pack(MIXED))
