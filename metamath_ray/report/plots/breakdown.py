"""Accuracy on the parts of a set of problems."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from metamath_ray.evaluation.results import Evaluation, Group
from metamath_ray.report.document import Plot, file_name
from metamath_ray.report.plots.figure import LOOKS, draw, intervals, short
from metamath_ray.report.tables import kind_name
from metamath_ray.report.wording import label, listed, percent

_PREFERRED = ("majority_vote", "greedy", "pass_at_1", "pass_at_k")
"""The one metric drawn: the first that every part of every evaluation has."""

MOST_EVALUATIONS = len(LOOKS)
"""How many are told apart in one plot."""


def accuracy_by_group(kind: str, evaluations: Sequence[Evaluation]) -> Plot | None:
    """Draw each part as a row and each evaluation as a mark on it; None where there are fewer than two parts."""
    drawn = [one for one in evaluations if one.groups.get(kind)][:MOST_EVALUATIONS]
    names = list(dict.fromkeys(group.name for one in drawn for group in one.groups[kind]))
    metric = next((name for name in _PREFERRED if _all_have(name, drawn, kind)), None)
    if metric is None or len(names) < 2:
        return None
    places = {name: place for place, name in enumerate(names)}

    def fill(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel=f"{label(metric)}, %")
        for number, (one, look) in enumerate(zip(drawn, LOOKS, strict=False)):
            shift = 0.6 * ((number + 0.5) / len(drawn) - 0.5)
            estimates = [group.accuracy[metric] for group in one.groups[kind]]
            axes.errorbar(
                [100 * estimate.value for estimate in estimates],
                [places[group.name] + shift for group in one.groups[kind]],
                xerr=intervals(estimates),
                color=look.color,
                marker=look.marker,
                linestyle="none",
                elinewidth=1.2,
                label=short(one.name, 28),
            )
        axes.set_yticks(range(len(names)), [short(name, 32) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        if len(drawn) > 1:
            figure.legend(loc="outside upper left", ncols=2, fontsize=9)

    message = f"Drawn: {label(metric)}. {' '.join(_extremes(one, kind, metric) for one in drawn)}"
    height = 1.3 + len(names) * max(0.3, 0.16 * len(drawn))
    return draw(f"Accuracy by {kind_name(kind)}", message, fill, name=file_name("by", kind), height=height)


def _all_have(metric: str, evaluations: Sequence[Evaluation], kind: str) -> bool:
    return all(metric in group.accuracy for one in evaluations for group in one.groups[kind])


def _extremes(one: Evaluation, kind: str, metric: str) -> str:
    groups = sorted(one.groups[kind], key=lambda group: group.accuracy[metric].value)
    return f"{one.name}: {listed([_told(group, metric) for group in (groups[-1], groups[0])])}."


def _told(group: Group, metric: str) -> str:
    return f"{percent(group.accuracy[metric].value)} on {group.name}"
