"""The losses of both papers, each a sum over one batch, so that a step's mean is over the whole step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, relu

from metamath_ray.training.packing import PackedBatch


@dataclass(frozen=True)
class LabelTokens:
    """First tokens of the verifier's two labels."""

    correct: int
    incorrect: int


class PackedLoss(nn.Module):
    """A causal language model with its losses; what the training engine wraps.

    Args:
        model: Any Hugging Face causal language model with `attn_implementation=PACKED_ATTENTION`.
        label_tokens: Needed where the batches hold judged solutions.
        margin: λ of the pairwise loss.
    """

    def __init__(self, model: nn.Module, *, label_tokens: LabelTokens | None = None, margin: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self._label_tokens, self._margin = label_tokens, margin

    def forward(self, batch: PackedBatch) -> Tensor:
        """Return `[3]`: the sums of the solutions', the pairwise and the pointwise loss.

        Raises:
            ValueError: The batch holds judged solutions, and there are no label tokens.
        """
        logits = packed_logits(self.model, batch)
        num_targets = len(batch.targets)
        solution = cross_entropy(logits[:num_targets], batch.targets, reduction="sum")
        if not len(batch.labels):
            return torch.stack([solution, solution * 0, solution * 0])
        if self._label_tokens is None:
            raise ValueError("the batch holds judged solutions, and no label tokens are given")
        judged = logits[num_targets:]
        pairwise = pairwise_loss(log_scores(judged, self._label_tokens)[: 2 * batch.num_pairs], self._margin)
        return torch.stack([solution, pairwise, pointwise_loss(judged, batch.labels, self._label_tokens)])


def packed_logits(model: nn.Module, batch: PackedBatch) -> Tensor:
    """Return the scores `[used, vocabulary]`, float32, at the places that the batch names."""
    outputs = model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        boundaries=batch.boundaries,
        longest=batch.longest,
        logits_to_keep=batch.places,
        use_cache=False,
    )
    logits: Tensor = outputs.logits[0]
    return logits.float()


def log_scores(judged: Tensor, labels: LabelTokens) -> Tensor:
    """Return log S = log p(correct) − log(p(correct) + p(incorrect)), `[judged]` (2310.10047, section 3)."""
    return logsigmoid(judged[:, labels.correct] - judged[:, labels.incorrect])


def pairwise_loss(log_score: Tensor, margin: float) -> Tensor:
    """Return Σ max(0, log S(wrong) − log S(right) + λ) over neighbours, right one first (equation 8)."""
    right, wrong = log_score[0::2], log_score[1::2]
    return relu(wrong - right + margin).sum()


def pointwise_loss(judged: Tensor, is_right: Tensor, labels: LabelTokens) -> Tensor:
    """Return Σ −log p(the right label), over the whole vocabulary (equation 9)."""
    correct, incorrect = torch.tensor([labels.correct, labels.incorrect], device=judged.device)
    return cross_entropy(judged, torch.where(is_right, correct, incorrect), reduction="sum")
