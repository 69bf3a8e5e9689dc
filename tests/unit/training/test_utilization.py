import pytest
import torch
from torch import nn

from metamath_ray.config import TrainersConfig
from metamath_ray.training.utilization import peak_flops, tokens_per_second_at_peak

ON_GPU = TrainersConfig(accelerator_type="H100")


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", None),
        ("Tesla T4", None),
    ],
)
def test_the_peak_of_a_device(device: str, peak: float | None) -> None:
    assert peak_flops(device) == peak


def test_a_frozen_weight_costs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    model = nn.Linear(10, 10, bias=False)
    assert tokens_per_second_at_peak(model, ON_GPU, 2) == pytest.approx(2 * 989e12 / (6 * 100))
    model.weight.requires_grad_(False)
    assert tokens_per_second_at_peak(model, ON_GPU, 2) == pytest.approx(2 * 989e12 / (4 * 100))


def test_there_is_no_figure_where_the_peak_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens_per_second_at_peak(nn.Linear(2, 2), TrainersConfig(), 1) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA GeForce RTX 4090")
    assert tokens_per_second_at_peak(nn.Linear(2, 2), ON_GPU, 1) is None
