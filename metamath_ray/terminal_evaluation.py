"""What `evaluate` shows: the models side by side, and what sets them apart."""

from collections.abc import Iterator

from rich.table import Table

from metamath_ray.evaluation import Evaluation, Results
from metamath_ray.evaluation.results import Estimate
from metamath_ray.terminal import DASH

METRICS = {
    "pass_at_1": "Pass@1",
    "majority_vote": "Maj1@N",
    "best_of_n": "RR.All",
    "weighted_vote": "W.RR",
    "pass_at_k": "Pass@N",
}
"""Metric → heading, the paper's names."""


def evaluation_tables(results: Results) -> Iterator[Table]:
    """Tabulate accuracies in percent with their 95 % intervals, a column a model, then the differences."""
    models = _table("Accuracy, %", "", *(one.name for one in results.evaluations))
    models.add_row("problems", *(f"{one.num_problems:,}" for one in results.evaluations))
    models.add_row("samples (N)", *(str(one.num_samples) for one in results.evaluations))
    models.add_row("greedy", *(_percent(one.greedy) for one in results.evaluations))
    for metric, heading in METRICS.items():
        models.add_row(heading, *(_percent(_accuracy(one, metric)) for one in results.evaluations))
    yield models
    if results.comparisons:
        differences = _table("Differences, points", "", "", "p")
        for found in results.comparisons:
            names = f"{found.first} → {found.second}"
            differences.add_row(names, _points(found.difference), f"{found.p_value:.4f}")
        yield differences


def _accuracy(one: Evaluation, metric: str) -> Estimate | None:
    """Return the accuracy with all samples; of a model with one sample, that of the vote is no news."""
    if metric == "pass_at_1":
        return one.curves["pass_at_k"][0].accuracy
    points = one.curves.get(metric)
    return points[-1].accuracy if points and one.num_samples > 1 else None


def _percent(found: Estimate | None) -> str:
    return DASH if found is None else f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _points(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    table.add_column(first)
    for column in others:
        table.add_column(column, no_wrap=True)
    return table
