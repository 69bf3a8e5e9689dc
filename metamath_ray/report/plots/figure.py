"""How every plot looks: readable on light and dark, in black-and-white print and by the colour-blind."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from metamath_ray.evaluation.results import Estimate
from metamath_ray.report.document import Plot, slug

INK = "#1d1c1a"
"""Text and axes; the colour of the page's text where the plot stands in a page."""

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
"""M. Okabe and K. Ito's palette, which people with any colour vision tell apart; its black is `INK`."""

_NAMES = {"blue": BLUE, "vermillion": VERMILLION, "green": GREEN, "purple": PURPLE, "orange": ORANGE, "sky": SKY}
_WIDTH_INCHES = 5.4
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.18,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.7,
    "lines.markersize": 5,
    "legend.frameon": False,
    "text.parse_math": False,  # a model's name is no formula
    "svg.fonttype": "none",
    "svg.hashsalt": "metamath-ray",
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color"], INK
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A series: told apart by colour, by marker and by dashes, each alone enough."""

    color: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]] = "-"


LOOKS = (
    Look(color=BLUE, marker="o"),
    Look(color=VERMILLION, marker="s", dashes=(0, (5, 1.5))),
    Look(color=GREEN, marker="^", dashes=(0, (1, 1))),
    Look(color=PURPLE, marker="D", dashes=(0, (5, 1.5, 1, 1.5))),
    Look(color=ORANGE, marker="v", dashes=(0, (3, 1, 1, 1, 1, 1))),
    Look(color=SKY, marker="P", dashes=(0, (8, 2))),
    Look(color=INK, marker="X", dashes=(0, (2, 2))),
)
METRIC_LOOKS = dict(
    zip(
        (
            "majority_vote",
            "weighted_vote",
            "best_of_n",
            "weighted_vote_top_clusters",
            "best_of_top_clusters",
            "majority_of_best",
            "pass_at_k",
        ),
        LOOKS,
        strict=True,
    ),
    oracle=Look(color=INK, marker="X", dashes=(0, (2, 2))),
    greedy=Look(color=GREEN, marker="^", dashes=(0, (1, 1))),
    pass_at_1=Look(color=ORANGE, marker="v", dashes=(0, (3, 1, 1, 1, 1, 1))),
)
"""A metric looks the same in every plot."""


def look_of(metric: str) -> Look:
    """Return how a metric is drawn."""
    return METRIC_LOOKS.get(metric, LOOKS[-1])


def draw(title: str, message: str, fill: Callable[[Figure], None], *, name: str = "", height: float = 3.6) -> Plot:
    """Draw a figure in both forms.

    Args:
        title: What is drawn; also names the file, unless `name` is given.
        message: What is to be seen, for those who cannot see it, too.
        fill: Draws into the empty figure.
        height: In inches.
    """
    name = name or slug(title)
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        fill(figure)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=160, facecolor="white", metadata={"Software": None})
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return Plot(
        name=name,
        title=title,
        message=message,
        svg=_for_page(svg.getvalue(), name, f"{title}. {message}"),
        png=png.getvalue(),
    )


def _for_page(svg: str, name: str, text: str) -> str:
    """Turn a file of matplotlib's into an element of a page: no outside names, ids of its own, the page's colours."""
    body = svg[svg.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', body)
    assert view  # noqa: S101  matplotlib always writes one
    body = re.sub(r"<svg[^>]*>", "", body, count=1)
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = body.replace(INK, "currentColor")
    for colour, value in _NAMES.items():
        body = body.replace(value, f"var(--{colour})")
    return f'<svg class="plot" role="img" aria-label="{escape(text)}" {view[0]}>{body}'.strip()


def short(name: str, length: int = 44) -> str:
    """Return a name that fits above a plot."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def sample_axis(axes: Axes, values: Sequence[int]) -> None:
    """Make the x-axis one of counts, by powers of two, ticked where there are figures."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(_apart(sorted(set(values)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _apart(values: Sequence[int]) -> list[int]:
    """Leave out ticks whose labels would touch: every other octave's quarter at most."""
    kept: list[int] = []
    for value in values:
        if not kept or value >= 1.25 * kept[-1]:
            kept.append(value)
    return kept


def curve(axes: Axes, xs: Sequence[float], estimates: Sequence[Estimate], look: Look) -> None:
    """Draw accuracies in percent as a line with its band."""
    values, lows, highs = (
        [100 * getattr(estimate, name) for estimate in estimates] for name in ("value", "low", "high")
    )
    axes.fill_between(xs, lows, highs, color=look.color, alpha=0.1, linewidth=0)
    axes.plot(xs, values, color=look.color, marker=look.marker, linestyle=look.dashes)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, Look]], *, gap: float = 0.068) -> None:
    """Name lines beside their last points (x, y, name, look), moved apart where they would overlap.

    Args:
        gap: Least distance of two names, as a share of the axis.
    """
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    order = sorted(ends, key=lambda end: end[1])
    places = spread([(y - low) / (high - low) for _, y, _, _ in order], gap)
    for (x, y, name, look), place in zip(order, places, strict=True):
        axes.annotate(
            name,
            xy=(x, y),
            xytext=(1.05, place),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": look.color,
                "linewidth": 0.9,
                "shrinkA": 1,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places apart to at least `gap`, each block of neighbours around the mean of where it should be.

    What would leave the range from 0 to 1 at the top is pushed down, as far as there is room.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _start(blocks[-2], gap) + len(blocks[-2]) * gap > _start(blocks[-1], gap):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    spread_out = [_start(block, gap) + number * gap for block in blocks for number in range(len(block))]
    ceiling = 1.0
    for index in reversed(range(len(spread_out))):
        spread_out[index] = min(spread_out[index], ceiling)
        ceiling = spread_out[index] - gap
    return spread_out


def _start(block: Sequence[float], gap: float) -> float:
    return max(0.0, sum(block) / len(block) - (len(block) - 1) * gap / 2)


def percent_axis(axes: Axes, limits: tuple[float, float] | None = None) -> None:
    """Make the y-axis one of accuracy in percent, from what is drawn or as told."""
    low, high = limits or axes.get_ylim()
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(max(0.0, low), min(101.5, high))


def intervals(estimates: Sequence[Estimate]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the lower and upper arms of error bars, in percent: shape [2, number]."""
    arms = [(one.value - one.low, one.high - one.value) for one in estimates]
    return 100 * np.maximum(np.asarray(arms, dtype=np.float64).reshape(-1, 2).T, 0)
