"""Accuracy against what it costs: samples, samples that adaptive sampling spends, training rows."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metamath_ray.evaluation.results import Estimate, Evaluation, Point, StopPoint
from metamath_ray.report.document import Plot, file_name
from metamath_ray.report.plots.figure import (
    Look,
    curve,
    draw,
    intervals,
    label_ends,
    look_of,
    percent_axis,
    sample_axis,
    short,
)
from metamath_ray.report.wording import NBSP, at_last, in_order, label, listed, number, pass_at_1, percent

_SIZED: Mapping[str, Callable[[Evaluation], Estimate | None]] = {
    "greedy": lambda one: one.greedy,
    "pass_at_1": pass_at_1,
    "majority_vote": lambda one: at_last(one, "majority_vote"),
    "pass_at_k": lambda one: at_last(one, "pass_at_k"),
}
"""What is drawn against training rows."""


def accuracy_by_samples(evaluation: Evaluation, limits: tuple[float, float] | None = None) -> Plot | None:
    """Draw every strategy at k = 1, 2, 4, …; None where there is only one k.

    Args:
        limits: Of the axis of accuracy, in percent, so that panels can be compared.
    """
    curves = {metric: points for metric in in_order(list(evaluation.curves)) if (points := evaluation.curves[metric])}
    counts = sorted({point.num_samples for points in curves.values() for point in points})
    if len(counts) < 2:
        return None

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(title=short(evaluation.name), xlabel="samples a problem")
        for metric, points in curves.items():
            curve(axes, [point.num_samples for point in points], [point.accuracy for point in points], look_of(metric))
        sample_axis(axes, counts)
        percent_axis(axes, limits)
        label_ends(axes, [_end(metric, points) for metric, points in curves.items()])

    changes = [_change(metric, points) for metric, points in curves.items()]
    message = f"From {counts[0]} to {counts[-1]} samples a problem: {listed(changes)}."
    return draw(
        f"{evaluation.name}: accuracy against samples",
        message,
        fill,
        name=file_name("samples", evaluation.name),
        height=4,
    )


def accuracy_limits(evaluations: Sequence[Evaluation]) -> tuple[float, float] | None:
    """Return what holds all curves of all evaluations, in percent, with some air; None without any."""
    all_points = [point.accuracy for one in evaluations for points in one.curves.values() for point in points]
    if not all_points:
        return None
    low, high = min(one.low for one in all_points), max(one.high for one in all_points)
    return 100 * low - 3, 100 * high + 3


def _end(metric: str, points: Sequence[Point]) -> tuple[float, float, str, Look]:
    return points[-1].num_samples, 100 * points[-1].accuracy.value, label(metric), look_of(metric)


def _change(metric: str, points: Sequence[Point]) -> str:
    return f"{label(metric)} {number(100 * points[0].accuracy.value)} → {percent(points[-1].accuracy.value)}"


def accuracy_by_samples_spent(evaluation: Evaluation) -> Plot | None:
    """Draw adaptive sampling beside the curve of fixed numbers of samples; None without a replay."""
    replays = {metric: points for metric, points in evaluation.replay.items() if points}
    if not replays:
        return None

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(title=short(evaluation.name), xlabel="samples drawn a problem, on average")
        for metric, stops in replays.items():
            _fixed_curve(axes, evaluation, metric)
            _stop_points(axes, stops, metric)
        sample_axis(axes, [2**power for power in range(evaluation.num_samples.bit_length())])
        percent_axis(axes)
        axes.legend(loc="lower right", fontsize=9)

    saved = [
        f"{label(metric)} at confidence {number(100 * stops[-1].confidence, 0)} % draws "
        f"{number(stops[-1].num_samples.value)} of {evaluation.num_samples} samples for "
        f"{percent(stops[-1].accuracy.value)} ({percent(full.value)} with all)"
        for metric, stops in replays.items()
        if (full := at_last(evaluation, metric))
    ]
    confidences = listed([number(100 * stop.confidence, 0) for stop in next(iter(replays.values()))])
    drawn = f"From left to right at confidence {confidences}{NBSP}%"
    message = f"{'; '.join([drawn, *saved])}."
    return draw(
        f"{evaluation.name}: accuracy against samples spent", message, fill, name=file_name("spent", evaluation.name)
    )


def _fixed_curve(axes: Axes, evaluation: Evaluation, metric: str) -> None:
    points, look = evaluation.curves.get(metric, ()), look_of(metric)
    axes.plot(
        [point.num_samples for point in points],
        [100 * point.accuracy.value for point in points],
        color=look.color,
        linestyle=look.dashes,
        alpha=0.75,
        label=f"{label(metric)}, fixed number",
    )


def _stop_points(axes: Axes, stops: Sequence[StopPoint], metric: str) -> None:
    look = look_of(metric)
    axes.errorbar(
        [stop.num_samples.value for stop in stops],
        [100 * stop.accuracy.value for stop in stops],
        yerr=intervals([stop.accuracy for stop in stops]),
        xerr=intervals([stop.num_samples for stop in stops]) / 100,
        color=look.color,
        marker=look.marker,
        markersize=7,
        linestyle="none",
        elinewidth=0.8,
        label=f"{label(metric)}, adaptive",
    )


def accuracy_by_training_rows(evaluations: Sequence[Evaluation]) -> Plot | None:
    """Draw accuracy against training rows; None unless two evaluations of the same problems say how many they had."""
    sized = [one for one in evaluations if isinstance(one.manifest.get("num_training_rows"), int)]
    sized = sorted(
        (one for one in sized if set(one.problem_ids) == set(sized[0].problem_ids)),
        key=lambda one: one.manifest["num_training_rows"],
    )
    sizes = [one.manifest["num_training_rows"] for one in sized]
    if len(set(sizes)) < 2 or sizes[0] < 1:
        return None

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel="training rows")
        ends = []
        for metric, of in _SIZED.items():
            known = [(size, found) for size, one in zip(sizes, sized, strict=True) if (found := of(one))]
            if len(known) > 1:
                curve(axes, [size for size, _ in known], [found for _, found in known], look_of(metric))
                ends.append((known[-1][0], 100 * known[-1][1].value, label(metric), look_of(metric)))
        sample_axis(axes, sizes)
        percent_axis(axes)
        label_ends(axes, ends)

    first, last = sized[0], sized[-1]
    message = f"From {sizes[0]:,} rows ({first.name}) to {sizes[-1]:,} rows ({last.name}) of training data."
    return draw("Accuracy against training rows", message, fill)
