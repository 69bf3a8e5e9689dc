"""Trains the embedded Llamas from nothing: tokenizer, model, optimizer and loop. Float32 on CPU, bfloat16 on a GPU."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from metamath_ray.prompts import Renderer, load_prompt_set
from metamath_ray.training.muon import Muon
from metamath_ray.training.pretraining_tasks import SOURCE, Row, rows

PROMPT_SET = "embedded"
SPECIAL_TOKENS = ("<|pad|>", "<|bos|>", "<|eos|>")
IGNORED = -100
_PIECES = r" [-+*/=] |\d| ?[A-Za-z]+| ?[^\sA-Za-z\d]+|\s"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(_Settings):
    """The architecture; see ``LlamaConfig``."""

    vocab_size: int = 1024
    hidden_size: int = 192
    num_layers: int = 4
    num_heads: int = 3
    intermediate_size: int = 512
    max_positions: int = 512


class LoopSettings(_Settings):
    """One run of the training loop."""

    num_steps: int
    rows_per_step: int = 64
    micro_batches: int = 4
    """Rows of a step are sorted by length and split into so many batches, so that little is padding."""
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    decay_steps: int = 0
    """The rate falls linearly to zero over so many last steps."""
    weight_decay: float = 0.01
    eval_every: int = 250


class StageSettings(LoopSettings):
    """One run of the training loop over rows."""

    mixture: dict[str, float]
    """Task of ``pretraining_tasks.TASKS`` to weight."""
    loss_on_prompt: bool
    """Learn the questions too, not the responses alone."""


class PretrainingConfig(_Settings):
    """Everything that decides the checkpoints."""

    seed: int = 0
    model: ModelSettings = ModelSettings()
    tokenizer_rows: int = 20_000
    """Rows that the tokenizer's merges are learned from."""
    notes: str = ""
    """What a reader of the cards should know besides."""
    stages: dict[str, StageSettings]
    """In order; each starts from the checkpoint of the one before, with a fresh optimizer."""


def train_tokenizer(vocab_size: int, texts: Iterator[str], max_length: int) -> PreTrainedTokenizerFast:
    """Learns a byte-level BPE in which each digit is its own token and no text is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    pad, bos, eos = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=eos,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def new_model(settings: ModelSettings, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A plain Llama with random weights."""
    config = LlamaConfig(
        vocab_size=settings.vocab_size,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_heads,
        max_position_embeddings=settings.max_positions,
        tie_word_embeddings=True,
        initializer_range=0.03,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


@dataclass(frozen=True)
class Batch:
    """Token ids ``[rows, length]``, padded on the right, and the next token of each place or ``IGNORED``."""

    input_ids: Tensor
    targets: Tensor


Encoded = tuple[list[int], list[int]]
"""The token ids of a row, and its targets."""


class RowEncoder:
    """Rows to batches, by the renderer that serving uses."""

    def __init__(self, renderer: Renderer, pad_token_id: int, loss_on_prompt: bool) -> None:
        self._renderer, self._pad, self._loss_on_prompt = renderer, pad_token_id, loss_on_prompt

    def encode(self, some_rows: Sequence[Row]) -> list[Encoded]:
        """The rows of a step, shortest first."""
        return sorted((self._encode(row) for row in some_rows), key=lambda pair: len(pair[0]))

    def batches(self, encoded: Sequence[Encoded], micro_batches: int) -> list[Batch]:
        """Splits rows that are sorted by length into batches of about equally many tokens."""
        parts: list[list[Encoded]] = [[] for _ in range(micro_batches)]
        total, used = sum(len(ids) for ids, _ in encoded), 0
        for pair in encoded:
            parts[used * micro_batches // total].append(pair)
            used += len(pair[0])
        return [self._pad_rows(part) for part in parts if part]

    def _encode(self, row: Row) -> Encoded:
        prompt, response = self._renderer.render_with_response(row.task, row.fields, row.response, source=SOURCE)
        ids = prompt + response
        targets = ids[1:] if self._loss_on_prompt else [IGNORED] * (len(prompt) - 1) + response
        return ids[:-1], targets

    def _pad_rows(self, part: Sequence[Encoded]) -> Batch:
        length = max(len(ids) for ids, _ in part)
        ids = torch.tensor([ids + [self._pad] * (length - len(ids)) for ids, _ in part])
        targets = torch.tensor([targets + [IGNORED] * (length - len(targets)) for _, targets in part])
        return Batch(ids, targets)


def summed_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Cross-entropy summed over the batch's targets; scores are computed at those places only.

    Rows are padded on the right, so the causal mask alone keeps padding out.
    """
    hidden = model.model(input_ids=batch.input_ids, use_cache=False).last_hidden_state
    places = batch.targets != IGNORED
    return cross_entropy(model.lm_head(hidden[places]).float(), batch.targets[places], reduction="sum")


def learning_rate_at(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, constant, linear decay to zero."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    cool = min(1.0, (settings.num_steps - step) / max(1, settings.decay_steps))
    return settings.learning_rate * min(warm, cool)


@dataclass(frozen=True)
class Share:
    """This process's part of each step: every ``num_processes``-th row, counted from ``rank``."""

    rank: int = 0
    num_processes: int = 1

    @classmethod
    def mine(cls) -> "Share":
        """All of it, unless torchrun started several processes."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()


def make_optimizers(model: nn.Module, settings: LoopSettings, share: Share) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of the layers, AdamW for embeddings and norms; what is frozen stays.

    Of several processes each updates its part of the matrices and sends it to the others.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = [p for name, p in named.items() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in named.items() if not (p.ndim == 2 and "layers" in name)]
    rate, decay = settings.learning_rate, settings.weight_decay
    muon: torch.optim.Optimizer = Muon(matrices, lr=rate, weight_decay=decay)
    if share.num_processes > 1:
        from torch.distributed.optim import ZeroRedundancyOptimizer  # noqa: PLC0415  (a warning and a second of import)

        muon = ZeroRedundancyOptimizer(matrices, Muon, lr=rate, weight_decay=decay)
    return [muon, torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)]


Report = Callable[[int, dict[str, Any]], None]
Accumulate = Callable[[], tuple[Tensor, int]]
"""Takes a step's next rows, adds up the gradients of this process's share of them, and returns its part of the loss and
the number of tokens that all processes read."""


def train(model: nn.Module, settings: LoopSettings, accumulate: Accumulate, report: Report) -> int:
    """Runs the loop; what it learns from is the caller's.

    Args:
        model: trained in place, on whatever device it is.
        settings: the loop.
        accumulate: called once a step.
        report: called every ``eval_every`` steps and at the end with the step and figures of training.

    Returns:
        The number of tokens read, by all processes.
    """
    share = Share.mine()
    optimizers = make_optimizers(model, settings, share)
    tokens, started = 0, time.monotonic()
    for step in range(settings.num_steps):
        loss, num_tokens = accumulate()
        tokens += num_tokens
        _sum_over_processes([loss, *(p.grad for p in model.parameters() if p.grad is not None)], share)
        _update(model, optimizers, learning_rate_at(step, settings))
        if (step + 1) % settings.eval_every == 0 or step + 1 == settings.num_steps:
            seconds = round(time.monotonic() - started)
            report(step + 1, {"loss": round(loss.item(), 4), "tokens": tokens, "seconds": seconds})
    return tokens


def train_stage(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    settings: StageSettings,
    seed: str,
    report: Report,
) -> int:
    """Runs one stage in place.

    Args:
        model: trained in place, on whatever device it is.
        tokenizer: encodes the rows.
        settings: the stage.
        seed: selects the rows, which are never repeated.
        report: see ``train``.

    Returns:
        The number of tokens read, by all processes.
    """
    encoder = RowEncoder(
        Renderer(load_prompt_set(PROMPT_SET), tokenizer), tokenizer.pad_token_id, settings.loss_on_prompt
    )
    source, share = rows(settings.mixture, seed), Share.mine()

    def accumulate() -> tuple[Tensor, int]:
        encoded = encoder.encode(list(islice(source, settings.rows_per_step)))
        num_targets = sum(target != IGNORED for _, targets in encoded for target in targets)
        batches = encoder.batches(encoded[share.rank :: share.num_processes], settings.micro_batches)
        return _accumulate(model, batches, num_targets), sum(len(ids) for ids, _ in encoded)

    return train(model, settings, accumulate, report)


def _accumulate(model: LlamaForCausalLM, batches: Sequence[Batch], num_targets: int) -> Tensor:
    """Adds up the gradients of these batches, and their part of the step's loss."""
    model.train()
    device, total = model.device, torch.zeros((), device=model.device)
    for batch in batches:
        moved = Batch(batch.input_ids.to(device), batch.targets.to(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = summed_loss(model, moved) / num_targets
        torch.autograd.backward(loss)
        total += loss.detach()
    return total


def _sum_over_processes(tensors: Sequence[Tensor], share: Share) -> None:
    if share.num_processes > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


def _update(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], rate: float) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def save_checkpoint(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, manifest: dict[str, Any]
) -> None:
    """Writes a Hugging Face folder in bfloat16, with ``metamath_ray.json`` beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "metamath_ray.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
