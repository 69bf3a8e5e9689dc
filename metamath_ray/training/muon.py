"""Muon: momentum, orthogonalised (K. Jordan 2024; scaled as in arXiv 2502.16982 so that AdamW's rates fit).

torch's own multiplies in bfloat16, which processors without bfloat16 units do a hundred times slower than float32.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NUM_ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """Moves the singular values of a stack of matrices ``[n, rows, columns]`` near 1 (Newton-Schulz)."""
    if matrices.size(1) > matrices.size(2):
        transposed: Tensor = orthogonalize(matrices.mT).mT
        return transposed
    a, b, c = _COEFFICIENTS
    x: Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_NUM_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """For the hidden weight matrices of a transformer; embeddings and norms go to AdamW."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Applies one update; matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._update(parameters, group)
        return closure() if closure else None

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        updates = torch.stack([self._momentum(parameter, group["momentum"]) for parameter in parameters])
        scale = 0.2 * max(updates.shape[1:]) ** 0.5
        for parameter, update in zip(parameters, orthogonalize(updates), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        if gradient is None:
            return torch.zeros_like(parameter)
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)
