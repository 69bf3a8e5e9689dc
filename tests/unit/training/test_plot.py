import json
from pathlib import Path

import pytest

from metamath_ray.training.plot import plot_losses


def picture(folder: Path, losses: list[float]) -> bytes:
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot_losses(folder / "metrics.jsonl", folder / "loss.png")
    return (folder / "loss.png").read_bytes()


@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_the_losses_become_a_picture(tmp_path: Path, num_steps: int) -> None:
    falling = picture(tmp_path, [1 / step for step in range(1, num_steps + 1)])
    assert falling.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture(tmp_path, [float(step) for step in range(2, num_steps + 2)]) != falling
