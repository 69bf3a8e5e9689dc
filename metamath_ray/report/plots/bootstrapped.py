"""A bootstrapped data set: what was accepted, and how long its solutions are."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metamath_ray.report.data_quality import DataQuality, Histogram
from metamath_ray.report.document import Plot, slug
from metamath_ray.report.plots.figure import BLUE, draw
from metamath_ray.report.wording import augmentation_name, listed, percent


def acceptance(quality: DataQuality) -> Plot | None:
    """Draw the share of accepted items by augmentation; None where nothing is finished."""
    known = [(one, one.acceptance) for one in quality.by_augmentation if one.acceptance]
    if not known:
        return None
    values = [100 * rate.rate for _, rate in known]
    arms = [
        [100 * (rate.rate - rate.low) for _, rate in known],
        [100 * (rate.high - rate.rate) for _, rate in known],
    ]

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel="accepted, % of finished items", xlim=(0, 100))
        rows = range(len(known))
        axes.errorbar(values, list(rows), xerr=arms, color=BLUE, marker="o", linestyle="none", elinewidth=1.4)
        axes.set_yticks(rows, [augmentation_name(one.augmentation) for one, _ in known])
        axes.set_ylim(len(known) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")

    told = [f"{augmentation_name(one.augmentation)} {percent(rate.rate)}" for one, rate in known]
    message = f"Accepted: {listed(told)}."
    return draw("Acceptance by augmentation", message, fill, name="acceptance", height=1 + 0.4 * len(known))


def histogram(drawn: Histogram) -> Plot | None:
    """Draw how many rows lie in each bin; None without rows."""
    total = sum(drawn.counts)
    if not total:
        return None
    widths = [high - low for low, high in zip(drawn.edges, drawn.edges[1:], strict=False)]

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel=drawn.quantity, ylabel="rows")
        axes.bar(drawn.edges[:-1], drawn.counts, width=widths, align="edge", color=BLUE, alpha=0.85, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=False, axis="x")

    place = max(range(len(drawn.counts)), key=drawn.counts.__getitem__)
    low, high = drawn.edges[place], drawn.edges[place + 1] - 1
    where = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    message = f"The fullest bin: {where} {drawn.quantity}, {drawn.counts[place]:,} of {total:,} rows."
    return draw(f"Rows by {drawn.quantity}", message, fill, name=f"rows-by-{slug(drawn.quantity)}", height=2.6)
