"""The loss of a stage as a picture."""

import io
import json

import matplotlib
from matplotlib.figure import Figure

SMOOTHING = 0.9
"""Weight of what came before in the drawn average."""


def plot_losses(metrics: str, *, name: str) -> bytes:
    """Draw the loss of each step, and its running average, as PNG.

    Args:
        metrics: Content of `metrics.jsonl`.
        name: Of the stage.
    """
    rows = [json.loads(line) for line in metrics.splitlines()]
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    with matplotlib.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, losses, color="#9ecae1", linewidth=0.8, label="each step")
        axes.plot(steps, _smoothed(losses), color="#08519c", linewidth=1.6, label="running average")
        axes.set(xlabel="step", ylabel="loss", title=f"{name}: {len(rows)} steps")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        image = io.BytesIO()
        figure.savefig(image, dpi=150)
    return image.getvalue()


def _smoothed(values: list[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else SMOOTHING * smoothed[-1] + (1 - SMOOTHING) * value)
    return smoothed
