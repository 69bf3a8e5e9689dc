"""How much of an accelerator's arithmetic a training step uses (model FLOPs utilization)."""

import torch
from torch import nn

from metamath_ray.config import TrainersConfig
from metamath_ray.training.models import num_weights

PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "A10G": 70e12,
    "L4": 121e12,
}
"""Dense bfloat16 operations a second by NVIDIA's data sheets, for a part of the device's name; the first that fits."""


def peak_flops(device_name: str) -> float | None:
    """Return what a GPU can do; None where that is not known."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device_name), None)


def tokens_per_second_at_peak(model: nn.Module, trainers: TrainersConfig, num_workers: int) -> float | None:
    """Return the rate at which training would use all of the accelerators; None on CPU and for unknown ones.

    A token costs 6 operations a weight, and 4 a frozen weight, which needs no gradient; attention is left out.
    """
    peak = peak_flops(torch.cuda.get_device_name()) if trainers.accelerator_type else None
    if peak is None:
        return None
    is_frozen = any(not weight.requires_grad for weight in model.parameters())
    return peak * num_workers / (num_weights(model) * (4 if is_frozen else 6))
