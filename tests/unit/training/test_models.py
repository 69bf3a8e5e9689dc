import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from metamath_ray.config import AdapterConfig, TrainersConfig
from metamath_ray.embedded import checkpoint_path
from metamath_ray.errors import ModelError
from metamath_ray.training.losses import packed_logits
from metamath_ray.training.models import (
    METADATA_FILE,
    check_vocabulary,
    export,
    load_for_training,
    num_weights,
    training_dtype,
)
from metamath_ray.training.packing import pack
from metamath_ray.training.units import UnitKind
from tests.unit.training.tiny import ARCHITECTURES, VOCABULARY, logits_alone, make_model, make_units

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # by peft
METADATA = {"kind": "generator", "prompt_set": "embedded"}
ON_CPU = TrainersConfig()
UNITS = make_units(8, UnitKind.SOLUTION, UnitKind.PAIR, UnitKind.JUDGED)
architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)


@pytest.fixture
def parent(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    architecture = parameters.get("architecture", "llama")
    folder = tmp_path / "parent"
    make_model(architecture).to(torch.bfloat16).save_pretrained(folder)
    return str(folder)


def load(parent: str, adapter: AdapterConfig | None = None, **trainers: Any) -> nn.Module:  # noqa: ANN401
    torch.manual_seed(0)
    return load_for_training(parent, trainers=TrainersConfig(**trainers), adapter=adapter)


def train_a_little(model: nn.Module) -> None:
    """Move every trained weight by about as much as a fine-tuning does."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trained(model):
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))


def trained(model: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in model.parameters() if parameter.requires_grad)


def gathered(model: nn.Module, *, only_trained: bool) -> dict[str, Tensor]:
    """What `engine.gathered_weights` returns without an engine."""
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad or not only_trained
    }


def exported(
    model: nn.Module,
    parent: str,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    adapter: AdapterConfig | None = None,
) -> PreTrainedModel:
    weights = gathered(model, only_trained=adapter is not None)
    export(folder, parent=parent, weights=weights, adapter=adapter, tokenizer=tokenizer, metadata=METADATA)
    return AutoModelForCausalLM.from_pretrained(folder)


@architectures
def test_a_trained_model_is_exported_as_it_is_in_bfloat16(
    architecture: str, parent: str, tmp_path: Path, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    model = load(parent)
    train_a_little(model)
    served = exported(model, parent, tmp_path / "model", embedded_tokenizer)
    assert served.dtype == torch.bfloat16
    weights = dict(served.named_parameters())
    assert weights.keys() == dict(model.named_parameters()).keys()
    for name, parameter in model.named_parameters():
        assert torch.equal(weights[name], parameter.to(torch.bfloat16))


@architectures
@pytest.mark.parametrize("targets", ["all", "attention"])
def test_merged_adapters_answer_as_the_adapted_model_did(
    architecture: str,
    targets: Literal["all", "attention"],
    parent: str,
    tmp_path: Path,
    embedded_tokenizer: PreTrainedTokenizerBase,
) -> None:
    adapter = AdapterConfig(rank=4, alpha=8, dropout=0.0, targets=targets)
    model = load(parent, adapter).eval()
    train_a_little(model)
    served = exported(model, parent, tmp_path / "model", embedded_tokenizer, adapter).float()
    base = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
    [sequence] = UNITS[0].token_ids
    with torch.inference_mode():
        expected = packed_logits(model, pack([UNITS[0]])).log_softmax(1)
        places = slice(UNITS[0].num_prompt_tokens[0] - 1, -1)
        found, untrained = (logits_alone(it, sequence)[places].log_softmax(1) for it in (served, base))
    distance, learned = (found - expected).abs().max(), (untrained - expected).abs().max()
    assert distance < 0.25 * learned  # what bfloat16 weights lose is little beside what was learned
    assert not any("lora" in name for name, _ in served.named_parameters())


def test_merging_loses_only_the_rounding_of_bfloat16(
    tmp_path: Path, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    """Of a model with weights of a real model's size: 1e-2 in the scores."""
    small = make_model()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.mul_(0.3)
    small.to(torch.bfloat16).save_pretrained(tmp_path / "parent")
    adapter = AdapterConfig(rank=4, alpha=4, dropout=0.0)
    model = load(str(tmp_path / "parent"), adapter).eval()
    train_a_little(model)
    served = exported(model, str(tmp_path / "parent"), tmp_path / "model", embedded_tokenizer, adapter).float()
    unit = UNITS[0]
    with torch.inference_mode():
        expected = packed_logits(model, pack([unit]))
        found = logits_alone(served, unit.token_ids[0])[unit.num_prompt_tokens[0] - 1 : -1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)


def test_a_folder_says_what_it_is_and_loads_with_its_tokenizer(
    parent: str, tmp_path: Path, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    folder = tmp_path / "model"
    exported(load(parent), parent, folder, embedded_tokenizer)
    assert json.loads((folder / METADATA_FILE).read_text("utf-8")) == METADATA
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.encode("12 + 5 = 17") == embedded_tokenizer.encode("12 + 5 = 17")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["dtype"] == "bfloat16"
    assert "metamath_ray" not in json.dumps(config)
    assert (folder / "model.safetensors").is_file()


def test_several_chat_templates_need_no_folder(parent: str, tmp_path: Path) -> None:
    tokenizer, folder = AutoTokenizer.from_pretrained(checkpoint_path("base")), tmp_path / "model"
    tokenizer.chat_template = {"default": "{{ messages }}", "tool_use": "{{ tools }}"}
    exported(load(parent), parent, folder, tokenizer)
    assert all(file.is_file() for file in folder.iterdir())
    assert AutoTokenizer.from_pretrained(folder).chat_template == tokenizer.chat_template


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.update({"model.nothing": torch.zeros(1)}), "model.nothing is unknown"),
        (lambda weights: weights.pop("model.norm.weight"), "model.norm.weight is missing"),
        (lambda weights: weights.clear(), "is missing"),
        (lambda weights: weights.update({"model.norm.weight": torch.zeros(3)}), "size mismatch for model.norm.weight"),
        (lambda weights: weights["model.norm.weight"].mul_(torch.nan), "no numbers (model.norm.weight)"),
    ],
)
def test_weights_that_are_not_the_models_are_refused(
    change: Callable[[dict[str, Tensor]], object],
    message: str,
    parent: str,
    tmp_path: Path,
    embedded_tokenizer: PreTrainedTokenizerBase,
) -> None:
    weights = gathered(load(parent), only_trained=False)
    change(weights)
    with pytest.raises(ModelError, match=r"the trained weights (do not fit|are no numbers)") as caught:
        export(
            tmp_path / "model",
            parent=parent,
            weights=weights,
            adapter=None,
            tokenizer=embedded_tokenizer,
            metadata=METADATA,
        )
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_adapters_of_another_shape_are_refused(
    parent: str, tmp_path: Path, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    weights = gathered(load(parent, AdapterConfig(rank=4)), only_trained=True)
    with pytest.raises(ModelError, match="size mismatch"):
        export(
            tmp_path / "model",
            parent=parent,
            weights=weights,
            adapter=AdapterConfig(rank=5),
            tokenizer=embedded_tokenizer,
            metadata=METADATA,
        )


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(
    parent: str, embedded_tokenizer: PreTrainedTokenizerBase
) -> None:
    embedded_tokenizer.save_pretrained(parent)
    with pytest.raises(ModelError, match=f"the tokenizer has 1024 tokens and the model {VOCABULARY}"):
        check_vocabulary(parent)
    check_vocabulary(str(checkpoint_path("base")))


def test_a_folder_that_holds_no_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read what model this is") as caught:
        check_vocabulary(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_are_counted_once_each(parent: str) -> None:
    model = load(parent)
    assert num_weights(model) == sum(weight.numel() for weight in model.state_dict().values())


@architectures
def test_adapters_begin_without_an_effect_and_are_all_that_learns(architecture: str, parent: str) -> None:
    adapted = load(parent, AdapterConfig(rank=4, dropout=0.0))
    plain = load(parent)
    batch = pack(UNITS)
    torch.testing.assert_close(packed_logits(adapted, batch), packed_logits(plain, batch))
    torch.autograd.backward(packed_logits(adapted, batch).square().sum())
    with_gradient = {name for name, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in adapted.named_parameters() if "lora" in name}
    projections = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {name.split(".lora")[0].rpartition(".")[2] for name in with_gradient} == projections


def test_adapters_may_be_of_the_attention_alone(parent: str) -> None:
    names = [name for name, _ in load(parent, AdapterConfig(targets="attention")).named_parameters() if "lora" in name]
    assert {name.split(".lora")[0].rpartition(".")[2] for name in names} == {"q_proj", "k_proj", "v_proj", "o_proj"}


@pytest.mark.parametrize("adapter", [None, AdapterConfig(rank=4, dropout=0.0)], ids=["full", "LoRA"])
def test_activation_checkpointing_changes_no_gradient(adapter: AdapterConfig | None, parent: str) -> None:
    found = []
    for checkpointing in (False, True):
        model = load(parent, adapter, activation_checkpointing=checkpointing)
        train_a_little(model)
        torch.autograd.backward(packed_logits(model, pack(UNITS)).square().sum())
        found.append([parameter.grad for parameter in trained(model)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def num_kept_for_backward(model: nn.Module) -> int:
    kept: list[Tensor] = []

    def keep(activation: Tensor) -> Tensor:
        kept.append(activation)
        return activation

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda activation: activation):
        packed_logits(model, pack(UNITS))
    return len(kept)


def test_activation_checkpointing_keeps_fewer_activations(parent: str) -> None:
    plain, checkpointed = (load(parent, activation_checkpointing=on) for on in (False, True))
    assert num_kept_for_backward(checkpointed) < num_kept_for_backward(plain) / 2


def test_models_train_in_float32_on_a_cpu_and_in_bfloat16_on_a_gpu(parent: str) -> None:
    assert training_dtype(ON_CPU) == torch.float32
    assert training_dtype(TrainersConfig(accelerator_type="H100")) == torch.bfloat16
    assert {parameter.dtype for parameter in load(parent).parameters()} == {torch.float32}
