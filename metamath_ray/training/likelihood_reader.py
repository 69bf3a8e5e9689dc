"""The start of the embedded verifier: layers on a generator that learn to read how likely it finds what is written.

What a causal model expects next stands in its last layer; whether that then came, no layer sees. Trained as a verifier,
it would have to work each step out anew in the layers before. Layers on top see both: the expectation at one token, and
at the next what was written. They learn two things at once, the generator's own probability of each token of a
solution, and at the end the verdict on the whole. The generator below is frozen.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, linear, rms_norm
from transformers import LlamaForCausalLM

from metamath_ray.prompts import VerifierRenderer
from metamath_ray.training.examples import Example
from metamath_ray.training.losses import LabelTokens
from metamath_ray.training.pretraining import LoopSettings, Report, Share, train

_QUERY_AND_KEY = ("self_attn.q_proj.weight", "self_attn.k_proj.weight")
_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


class ReaderSettings(LoopSettings):
    """One stage of the training of the layers on top."""

    altered_share: float = 0.4
    """Share of the examples in whose solution one or two digits are replaced, which makes it incorrect."""
    verdict_weight: float = 0.3
    """Weight of the verdict's loss beside the tokens'."""
    verdict_among: Literal["labels", "vocabulary"]
    """What the verdict is told apart from: the other label, which alone decides a score; or every other token, too,
    which is the loss that fine-tuning takes."""


class Judged(NamedTuple):
    """A rendered solution: its token ids, where the solution begins and ends among them, and its verdict."""

    token_ids: tuple[int, ...]
    begin: int
    end: int
    is_correct: bool


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """Solutions padded on the right, and the places where something is learned.

    Attributes:
        input_ids: ``[rows, length]``.
        is_solution: ``[rows, length]``: tokens of a solution.
        last: ``[rows]``: the place after which the verdict stands.
        is_correct: ``[rows]``, 1 or 0.
    """

    input_ids: Tensor
    is_solution: Tensor
    last: Tensor
    is_correct: Tensor

    def to(self, device: torch.device) -> "JudgedBatch":
        """The same on a device."""
        return JudgedBatch(
            self.input_ids.to(device), self.is_solution.to(device), self.last.to(device), self.is_correct.to(device)
        )


def deepen(generator: LlamaForCausalLM, num_added_layers: int) -> LlamaForCausalLM:
    """Puts layers on a generator that change nothing yet: they look where its own do, and add nothing.

    Returns:
        A new model. All but the new layers and the last norm is frozen.
    """
    below = generator.config.num_hidden_layers
    config = type(generator.config)(**{**generator.config.to_dict(), "num_hidden_layers": below + num_added_layers})
    model = LlamaForCausalLM(config)
    model.load_state_dict(generator.state_dict(), strict=False)
    for number in range(num_added_layers):
        looks_like = generator.model.layers[min(number + 1, below - 1)].state_dict()
        layer = model.model.layers[below + number]
        layer.load_state_dict({name: looks_like[name] for name in _QUERY_AND_KEY}, strict=False)
        for name in _OUTPUTS:
            nn.init.zeros_(layer.get_parameter(name))
    model.requires_grad_(requires_grad=False)
    model.model.layers[below:].requires_grad_()
    model.model.norm.requires_grad_()
    return model


class LikelihoodReader(nn.Module):
    """A deepened generator with what its training needs besides.

    Args:
        generator: Trained; not changed.
        num_added_layers: See `deepen`.
        labels: Tokens between whose embeddings everything is read.
    """

    def __init__(self, generator: LlamaForCausalLM, num_added_layers: int, labels: LabelTokens) -> None:
        super().__init__()
        self.model = deepen(generator, num_added_layers)
        self.probe = nn.Parameter(torch.randn(generator.config.hidden_size) * generator.config.initializer_range)
        """Reads the first added layer in training alone, so that the comparison forms there."""
        self.direction: Tensor
        self._below = generator.config.num_hidden_layers
        self._norm_below = generator.model.norm
        self._norm_below.requires_grad_(requires_grad=False)
        self._labels = labels
        embeddings = self.model.lm_head.weight.detach()
        self.register_buffer("direction", embeddings[labels.correct] - embeddings[labels.incorrect], persistent=False)

    def losses(self, batch: JudgedBatch, verdict_among: Literal["labels", "vocabulary"]) -> tuple[Tensor, Tensor]:
        """Return the summed losses of the tokens, read twice, and of the verdicts."""
        out = self.model.model(input_ids=batch.input_ids, use_cache=False, output_hidden_states=True)
        expected = self.likelihoods(out.hidden_states[self._below], batch)
        first, last = out.hidden_states[self._below + 1], out.last_hidden_state
        probed = linear(rms_norm(first[batch.is_solution], self.probe.shape, eps=1e-6), self.probe)
        read = linear(last[batch.is_solution], self.direction)
        tokens = _cross_entropy(read, expected) + _cross_entropy(probed, expected)
        ends = last[torch.arange(len(batch.last)), batch.last]
        if verdict_among == "labels":
            return tokens, _cross_entropy(linear(ends, self.direction), batch.is_correct)
        said = torch.where(batch.is_correct > 0, self._labels.correct, self._labels.incorrect)
        return tokens, cross_entropy(linear(ends, self.model.lm_head.weight).float(), said, reduction="sum")

    @torch.no_grad()
    def likelihoods(self, hidden: Tensor, batch: JudgedBatch) -> Tensor:
        """Return the generator's probability of each token of the solutions, given what is before it.

        Args:
            hidden: ``[rows, length, hidden size]``: what comes out of the generator's last layer.
            batch: The solutions.
        """
        before = self._norm_below(hidden[:, :-1][batch.is_solution[:, 1:]])
        written = batch.input_ids[batch.is_solution]
        logits = linear(before, self.model.lm_head.weight).float()
        return logits.softmax(-1).gather(1, written[:, None])[:, 0]


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum")


class SolutionEncoder:
    """Examples to batches: some with altered digits, the rows of a step sorted by length."""

    def __init__(self, renderer: VerifierRenderer, pad_token_id: int) -> None:
        self._renderer, self._pad = renderer, pad_token_id
        self._frame = renderer.render("", "")

    def encode(self, question: str, solution: str, *, is_correct: bool) -> Judged:
        """Render, and find where the solution stands: what the frame of the prompt does not share."""
        token_ids = self._renderer.render(question, solution)
        around = self._renderer.render(question, "")
        begin = _shared(around, token_ids)
        end = len(token_ids) - min(_shared(around[::-1], token_ids[::-1]), len(around) - begin)
        return Judged(token_ids, begin, end, is_correct)

    def batches(self, rows: Sequence[Judged], num_batches: int) -> list[JudgedBatch]:
        """Split rows into batches of like lengths."""
        ordered = sorted(rows, key=lambda row: len(row.token_ids))
        size = -(-len(ordered) // num_batches)
        return [self._pad_rows(ordered[start : start + size]) for start in range(0, len(ordered), size)]

    def _pad_rows(self, rows: Sequence[Judged]) -> JudgedBatch:
        length = max(len(row.token_ids) for row in rows)
        places = torch.arange(length)
        return JudgedBatch(
            input_ids=torch.tensor([[*row.token_ids, *[self._pad] * (length - len(row.token_ids))] for row in rows]),
            is_solution=torch.stack([(places >= row.begin) & (places < row.end) for row in rows]),
            last=torch.tensor([len(row.token_ids) - 1 for row in rows]),
            is_correct=torch.tensor([float(row.is_correct) for row in rows]),
        )


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many ids two rows begin with in common."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))))


def alter(solution: str, rng: random.Random) -> str:
    """Replace one or two digits by others; a text without digits stays as it is."""
    places = [place for place, character in enumerate(solution) if character in "0123456789"]
    characters = list(solution)
    for place in rng.sample(places, min(len(places), rng.choice((1, 1, 2)))):
        characters[place] = rng.choice([digit for digit in "0123456789" if digit != characters[place]])
    return "".join(characters)


def drawn(examples: Sequence[Example], encoder: SolutionEncoder, altered_share: float, seed: str) -> Iterator[Judged]:
    """Yield solutions for ever, each example once before any again, a share of them altered."""
    rng = random.Random(seed)
    while True:
        for example in rng.sample(examples, len(examples)):
            for solution, is_correct in zip(example.solutions, example.labels, strict=True):
                text = alter(solution, rng) if rng.random() < altered_share else solution
                yield encoder.encode(example.question, text, is_correct=is_correct and text == solution)


def train_reader(
    reader: LikelihoodReader,
    encoder: SolutionEncoder,
    source: Iterator[Judged],
    settings: ReaderSettings,
    report: Report,
) -> int:
    """Trains the layers on top in place; see `train`.

    Args:
        reader: on whatever device it is.
        encoder: makes the batches.
        source: solutions, without end; the same ones in every process.
        settings: the loop.
        report: see `train`.
    """
    share, device = Share.mine(), reader.probe.device

    def accumulate() -> tuple[Tensor, int]:
        rows = sorted(islice(source, settings.rows_per_step), key=lambda row: len(row.token_ids))
        num_tokens = sum(row.end - row.begin for row in rows)
        total = torch.zeros((), device=device)
        for batch in encoder.batches(rows[share.rank :: share.num_processes], settings.micro_batches):
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                tokens, verdicts = reader.losses(batch.to(device), settings.verdict_among)
            loss = tokens / num_tokens + settings.verdict_weight * verdicts / len(rows)
            torch.autograd.backward(loss)
            total += loss.detach()
        return total, sum(len(row.token_ids) for row in rows)

    return train(reader, settings, accumulate, report)
