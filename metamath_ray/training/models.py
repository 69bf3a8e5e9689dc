"""A model as training needs it: packed attention, adapters, memory savings; and as serving needs it: one folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase

from metamath_ray.config import AdapterConfig, TrainersConfig
from metamath_ray.errors import ModelError
from metamath_ray.training.attention import PACKED_ATTENTION

ATTENTION_MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj")
METADATA_FILE = "metamath_ray.json"
MAX_SHARD = "4GB"
"""Of exported weights; an object of more than 5 GB cannot be moved inside a bucket."""


def training_dtype(trainers: TrainersConfig) -> torch.dtype:
    """Return bfloat16 on a GPU, where DeepSpeed keeps float32 copies, and float32 on a CPU."""
    return torch.bfloat16 if trainers.accelerator_type else torch.float32


def load_tokenizer_for_training(path: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer that is saved with the trained model."""
    return AutoTokenizer.from_pretrained(path)


def check_vocabulary(path: str) -> None:
    """Look whether a model has a row for each token of its tokenizer; loads no weights.

    Args:
        path: Folder or Hugging Face name.

    Raises:
        ModelError: It has not, or it has no readable configuration.
    """
    try:
        rows = AutoConfig.from_pretrained(path).get_text_config().vocab_size
        tokens = len(load_tokenizer_for_training(path))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: cannot read what model this is ({' '.join(str(error).split())[:200]})") from error
    if rows < tokens:
        raise ModelError(f"{path}: the tokenizer has {tokens} tokens and the model {rows}; they do not belong together")


def load_for_training(path: str, *, trainers: TrainersConfig, adapter: AdapterConfig | None) -> nn.Module:
    """Load a model, from a folder or by its Hugging Face name, to be trained."""
    quantization = (
        BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
        if adapter and adapter.quantize
        else None
    )
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=training_dtype(trainers),
        attn_implementation=PACKED_ATTENTION,
        quantization_config=quantization,
    )
    if trainers.activation_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    return with_adapter(model, adapter, in_float32=False) if adapter else model


def num_weights(model: nn.Module) -> int:
    """Count the weights, those in 4 bits or split over the workers by ZeRO-3 included."""
    return sum(
        getattr(weight, "ds_numel", weight.numel()) * (2 if type(weight).__name__ == "Params4bit" else 1)
        for weight in model.parameters()
    )


def with_adapter(model: nn.Module, adapter: AdapterConfig, *, in_float32: bool = True) -> nn.Module:
    """Freeze the model and add LoRA matrices, in float32 or in the model's own precision, as ZeRO-3 needs them."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training  # noqa: PLC0415  (slow to import)

    if adapter.quantize:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules="all-linear" if adapter.targets == "all" else list(ATTENTION_MATRICES),
        task_type="CAUSAL_LM",
    )
    adapted: nn.Module = get_peft_model(model, config, autocast_adapter_dtype=in_float32)
    return adapted


def export(
    folder: Path,
    *,
    parent: str,
    weights: Mapping[str, Tensor],
    adapter: AdapterConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    metadata: Mapping[str, Any],
) -> None:
    """Write what vLLM and Transformers load: bfloat16 weights, adapters merged in, the tokenizer, and what it is.

    Args:
        folder: Is made, and filled file by file; whoever needs it whole or not at all renames it into place.
        parent: Folder or name of the model that was trained; gives the architecture.
        weights: The trained weights on CPU; with an adapter, of its matrices alone.
        metadata: Content of ``metamath_ray.json``.

    Raises:
        ModelError: The weights are not those of this architecture: one is missing, unknown or of another shape; or one
            holds what is no number.
    """
    model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32 if adapter is None else torch.bfloat16)
    if adapter:
        model = with_adapter(model, adapter.model_copy(update={"quantize": False}))
    _load_trained(model, weights, parent, only_trained=adapter is not None)
    if adapter:
        model = model.merge_and_unload()
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=MAX_SHARD)
    tokenizer.save_pretrained(folder, save_jinja_files=False)  # as files they may need a folder
    (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


def _load_trained(model: nn.Module, weights: Mapping[str, Tensor], parent: str, *, only_trained: bool) -> None:
    """Load weights by name; tied ones, and with an adapter those that were frozen, are not among them."""
    expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad or not only_trained}
    if missing := sorted(expected - weights.keys()):
        raise ModelError(f"{parent}: the trained weights do not fit ({missing[0]} is missing)")
    if spoilt := next((name for name, weight in weights.items() if not weight.isfinite().all()), None):
        raise ModelError(f"the trained weights are no numbers ({spoilt}); lower the stage's optimizer.learning_rate")
    try:
        unexpected = model.load_state_dict(dict(weights), strict=False).unexpected_keys
    except RuntimeError as error:  # of another shape
        raise ModelError(f"{parent}: the trained weights do not fit ({' '.join(str(error).split())})") from error
    if unexpected:
        raise ModelError(f"{parent}: the trained weights do not fit ({unexpected[0]} is unknown)")
