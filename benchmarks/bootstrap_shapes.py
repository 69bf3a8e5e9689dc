"""Our bootstrap's speed over rows in flight and batch sizes, on one engine that stays up; and a drawing of it."""

import io
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib
from bootstrap_requests import MODEL, bootstrap_config, steady_rate
from bootstrap_systems import ours
from matplotlib.figure import Figure

from metamath_ray.config import ServeEngineConfig
from metamath_ray.distributed.bootstrap import required_cpus
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import generator
from metamath_ray.inference.models import resolve_model
from metamath_ray.report.plots.figure import LOOKS, sample_axis

ROWS_IN_FLIGHT = (32, 64, 128, 256, 512)
BATCH_SIZES = (32, 64, 128)
APPLICATION = "shapes"
WARM_UP_ITEMS = 256
_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "metamath-ray",
}

Shape = tuple[int, int]
"""Rows in flight and batch size."""


def measure_shapes(folder: Path, num_items: int, num_rounds: int) -> dict[Shape, list[float]]:
    """Bootstrap with each shape in each round, there and back; return tokens a second in the steady state."""
    rates: dict[Shape, list[float]] = defaultdict(list)
    config = bootstrap_config(folder, num_items)
    assert isinstance(config.engine, ServeEngineConfig)
    num_cpus = required_cpus(config.engine, config.execution)
    with (
        connected(config.ray, num_cpus=num_cpus, logs=None),
        generator(config.engine, model_path=resolve_model(MODEL), application=APPLICATION),
    ):
        _rate(folder / "warm-up", WARM_UP_ITEMS, (256, 64))
        for number in range(num_rounds):
            for shape in sorted(product(ROWS_IN_FLIGHT, BATCH_SIZES), reverse=number % 2 == 1):
                name = f"{number}-{shape[0]}-{shape[1]}"
                rates[shape].append(_rate(folder / name, num_items, shape))
    return dict(sorted(rates.items()))


def _rate(folder: Path, num_items: int, shape: Shape) -> float:
    config = bootstrap_config(folder, num_items, rows_in_flight=shape[0], batch_size=shape[1])
    attached = config.model_copy(update={"engine": config.engine.model_copy(update={"attach": APPLICATION})})
    passage = ours(folder, attached)
    return steady_rate(passage.marks, passage.num_tokens)


def draw_shapes(rates: Mapping[Shape, Sequence[float]]) -> str:
    """Draw tokens a second over rows in flight, a line a batch size, as an SVG file on white."""
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.add_subplot(xlabel="rows in flight", ylabel="tokens a second")
        for size, look in zip(sorted({size for _, size in rates}), LOOKS, strict=False):
            rows = [rows for rows, batch_size in rates if batch_size == size]
            medians = [statistics.median(rates[number, size]) for number in rows]
            axes.plot(rows, medians, color=look.color, marker=look.marker, linestyle=look.dashes, label=f"batch {size}")
        sample_axis(axes, sorted({rows for rows, _ in rates}))
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", facecolor="white", metadata={"Date": None})
    return drawn.getvalue()
