"""Models of a few thousand weights, and units of random tokens."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from metamath_ray.training.attention import PACKED_ATTENTION
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.unit_store import UnitStore, copy_to_disk
from metamath_ray.training.units import UNIT_SCHEMA, Unit, UnitKind

VOCABULARY = 48
LABELS = LabelTokens(correct=7, incorrect=9)
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ARCHITECTURES: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(num_key_value_heads=4, **_SIZES),
    "llama, tied, grouped queries": LlamaConfig(num_key_value_heads=2, tie_word_embeddings=True, **_SIZES),
    "qwen2, grouped queries": Qwen2Config(num_key_value_heads=1, **_SIZES),
    "mistral, sliding window": MistralConfig(num_key_value_heads=2, sliding_window=5, **_SIZES),
}


def make_model(architecture: str = "llama", attention: str = PACKED_ATTENTION) -> PreTrainedModel:
    """A float32 model; the same weights at every call, large enough that positions and neighbours matter."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        deepcopy(ARCHITECTURES[architecture]), attn_implementation=attention, dtype=torch.float32
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model


def make_unit(kind: UnitKind, random: Random, *, longest: int = 14) -> Unit:
    """A unit of random tokens above the labels' and the control tokens'."""
    sequences = tuple(
        tuple(random.randrange(10, VOCABULARY) for _ in range(random.randint(4, longest)))
        for _ in range(2 if kind is UnitKind.PAIR else 1)
    )
    given = tuple(random.randint(1, 3) if kind is UnitKind.SOLUTION else len(sequence) for sequence in sequences)
    labels = {UnitKind.SOLUTION: (), UnitKind.PAIR: (True, False), UnitKind.JUDGED: (random.random() < 0.5,)}[kind]
    return Unit(kind=kind, token_ids=sequences, num_prompt_tokens=given, labels=labels)


def make_units(seed: int, *kinds: UnitKind) -> list[Unit]:
    """One unit of each kind that is named, in that order."""
    random = Random(seed)
    return [make_unit(kind, random) for kind in kinds]


def record_batch(units: Sequence[Unit]) -> pa.RecordBatch:
    """Units as rows of `UNIT_SCHEMA`."""
    return pa.RecordBatch.from_pylist([unit.to_row() for unit in units], schema=UNIT_SCHEMA)


def make_store(units: Sequence[Unit], folder: Path, *, rows_per_batch: int = 3) -> UnitStore:
    """Units in a file of several batches."""
    pieces = (units[start : start + rows_per_batch] for start in range(0, len(units), rows_per_batch))
    return copy_to_disk(map(record_batch, pieces), folder / "units.arrow")


def logits_alone(model: PreTrainedModel, sequence: Sequence[int]) -> Tensor:
    """Scores `[tokens, vocabulary]` of one sequence in a batch of its own."""
    logits: Tensor = model(input_ids=torch.tensor([sequence]), use_cache=False).logits[0]
    return logits
