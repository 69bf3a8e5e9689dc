"""The loss of a stage as a picture."""

import json
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

SMOOTHING = 0.9
"""Weight of what came before in the drawn average."""


def plot_losses(metrics: Path, image: Path) -> None:
    """Draw the loss of each step, and its running average, out of `metrics.jsonl`."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, losses, color="#9ecae1", linewidth=0.8, label="each step")
        axes.plot(steps, _smoothed(losses), color="#08519c", linewidth=1.6, label="running average")
        axes.set(xlabel="step", ylabel="loss", title=f"{metrics.parent.name}: {len(rows)} steps")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        figure.savefig(image, dpi=150)


def _smoothed(values: list[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else SMOOTHING * smoothed[-1] + (1 - SMOOTHING) * value)
    return smoothed
