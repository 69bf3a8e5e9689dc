"""What a verifier gives and what it costs: accuracy against K and against calls, and its calibration."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from metamath_ray.evaluation.results import Evaluation, Point
from metamath_ray.report.document import Plot, file_name
from metamath_ray.report.plots.figure import (
    BLUE,
    INK,
    Look,
    curve,
    draw,
    label_ends,
    look_of,
    percent_axis,
    sample_axis,
    short,
)
from metamath_ray.report.wording import at_last, in_order, label, listed, number, percent, plural

_HEIGHTS = (3, 1)
_End = tuple[float, float, str, Look]


def accuracy_by_clusters(evaluation: Evaluation) -> Plot | None:
    """Draw figure 1 of 2310.10047: accuracy against K, and below it the verifier calls; None without scores."""
    points = evaluation.cluster_points
    if len(points) < 2:
        return None
    sizes = [point.num_clusters for point in points]
    metrics = in_order(list(points[0].accuracy))

    def fill(figure: Figure) -> None:
        upper, lower = _two_panels(figure, evaluation.name)
        for metric in metrics:
            curve(upper, sizes, [point.accuracy[metric] for point in points], look_of(metric))
        ends: list[_End] = [
            (sizes[-1], 100 * points[-1].accuracy[one].value, label(one), look_of(one)) for one in metrics
        ]
        ends += _majority_line(upper, evaluation, sizes[-1])
        percent_axis(upper)
        label_ends(upper, ends, gap=0.085)
        lower.plot(sizes, [point.num_verifier_calls for point in points], color=INK, marker=".", linewidth=1)
        lower.set(xlabel="K: most frequent answers that count", ylabel="verifier\ncalls")
        lower.set_ylim(bottom=0)
        sample_axis(lower, sizes)

    best = [
        f"{label(metric)} is highest at K = {at.num_clusters} with {percent(at.accuracy[metric].value)}"
        for metric in metrics
        if metric != "oracle"
        for at in [max(points, key=lambda point: point.accuracy[metric].value)]
    ]
    calls = f"{number(points[0].num_verifier_calls)} to {number(points[-1].num_verifier_calls)}"
    message = f"With all samples, {listed(best)}. From K = {sizes[0]} to {sizes[-1]}, {calls} verifier calls a problem."
    title = f"{evaluation.name}: accuracy against K"
    return draw(title, message, fill, name=file_name("clusters", evaluation.name), height=4.6)


def _two_panels(figure: Figure, name: str) -> tuple[Axes, Axes]:
    upper, lower = figure.subplots(2, sharex=True, height_ratios=_HEIGHTS)
    upper.set_title(short(name))
    return upper, lower


def _majority_line(axes: Axes, evaluation: Evaluation, end: float) -> list[_End]:
    """Draw the majority vote of all samples, which asks no verifier; return its name's place, if it is there."""
    majority = at_last(evaluation, "majority_vote")
    if majority is None:
        return []
    look = look_of("majority_vote")
    axes.axhline(100 * majority.value, color=look.color, linewidth=1.1)
    return [(end, 100 * majority.value, label("majority_vote"), look)]


def accuracy_by_calls(evaluation: Evaluation) -> Plot | None:
    """Draw accuracy against verifier calls for the strategies that make them; None where none does."""
    curves = {metric: _called(evaluation.curves[metric]) for metric in in_order(list(evaluation.curves))}
    curves = {metric: points for metric, points in curves.items() if len(points) > 1}
    if not curves:
        return None

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(title=short(evaluation.name), xlabel="verifier calls a problem, on average")
        for metric, points in curves.items():
            look = look_of(metric)
            axes.plot(
                [point.num_verifier_calls for point in points],
                [100 * point.accuracy.value for point in points],
                color=look.color,
                marker=look.marker,
                linestyle=look.dashes,
            )
        most = max(point.num_verifier_calls for points in curves.values() for point in points)
        sample_axis(axes, [2**power for power in range(int(most).bit_length())])
        ends = [_end(metric, points) for metric, points in curves.items()]
        ends += _majority_line(axes, evaluation, most)
        percent_axis(axes)
        label_ends(axes, ends)

    costs = [
        f"{label(metric)} reaches {percent(points[-1].accuracy.value)} "
        f"with {number(points[-1].num_verifier_calls)} calls"
        for metric, points in curves.items()
    ]
    message = f"For each problem, {listed(costs)}."
    title = f"{evaluation.name}: accuracy against verifier calls"
    return draw(title, message, fill, name=file_name("calls", evaluation.name))


def _called(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.num_verifier_calls > 0]


def _end(metric: str, points: Sequence[Point]) -> _End:
    return points[-1].num_verifier_calls, 100 * points[-1].accuracy.value, label(metric), look_of(metric)


def calibration(evaluation: Evaluation) -> Plot | None:
    """Draw how often samples of a score are right, and below it how many there are; None without scores."""
    verifier = evaluation.verifier
    if verifier is None or not verifier.calibration:
        return None
    bins = verifier.calibration
    scores = [one.mean_score for one in bins]

    def fill(figure: Figure) -> None:
        upper, lower = _two_panels(figure, evaluation.name)
        upper.plot([0, 1], [0, 100], color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        upper.annotate("dashed: right as often as the score says", xy=(0.03, 97), va="top", fontsize=9)
        upper.plot(scores, [100 * one.accuracy for one in bins], color=BLUE, marker="o")
        upper.set(ylabel="right samples, %", ylim=(0, 102))
        lower.bar(scores, [one.num_samples for one in bins], width=0.06, color=BLUE, alpha=0.6)
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        lower.set(xlabel="score S, mean of its bin", ylabel="samples", xlim=(0, 1.02))

    most = max(bins, key=lambda one: one.num_samples)
    message = (
        f"The score is {number(verifier.expected_calibration_error, 3)} away from the share of right "
        f"samples on average. The fullest bin holds {plural(most.num_samples, 'sample')} with a mean score of "
        f"{most.mean_score:.2f}, of which {percent(most.accuracy)} are right."
    )
    title = f"{evaluation.name}: calibration of the verifier"
    return draw(title, message, fill, name=file_name("calibration", evaluation.name), height=4.4)
