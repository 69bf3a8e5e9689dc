import json

import pytest

from metamath_ray.training.plot import plot_losses


def picture(losses: list[float]) -> bytes:
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses, start=1)]
    return plot_losses("\n".join(lines) + "\n", name="generator")


@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_the_losses_become_a_picture(num_steps: int) -> None:
    falling = picture([1 / step for step in range(1, num_steps + 1)])
    assert falling.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture([float(step) for step in range(2, num_steps + 2)]) != falling
