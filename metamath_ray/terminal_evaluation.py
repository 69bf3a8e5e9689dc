"""`evaluate` on a terminal: the models side by side, what sets them apart, and where the report is."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from metamath_ray.config import EvaluateConfig
from metamath_ray.evaluation import Evaluation, Results
from metamath_ray.evaluation.results import Estimate
from metamath_ray.measuring import evaluate_tables, report

METRICS = {
    "majority_vote": "Maj1@N",
    "best_of_n": "RR.All",
    "weighted_vote": "W.RR",
    "pass_at_k": "Pass@N",
}
"""Metric → heading, the paper's names."""


def evaluate_and_show(config: EvaluateConfig) -> None:
    """Evaluate, show what was found, and write the report.

    Raises:
        UserError: A table is missing or malformed.
    """
    console = Console(highlight=False)
    results, shown = evaluate_tables(config)
    for table in evaluation_tables(results):
        console.print(table)
    console.print(f"report: {report(config, results, shown)}", soft_wrap=True)


def evaluation_tables(results: Results) -> Iterator[Table]:
    """Tabulate accuracies in percent with their 95 % intervals, a line a model and metric, then the differences."""
    accuracies = _table("Accuracy, %", "model", "metric", "accuracy", "problems", "samples")
    for one in results.evaluations:
        lines = [(name, found) for name, found in _accuracies(one) if found is not None]
        for place, (name, found) in enumerate(lines):
            counts = (f"{one.num_problems:,}", str(one.num_samples)) if place == 0 else ("", "")
            accuracies.add_row(one.name if place == 0 else "", name, _percent(found), *counts)
    yield accuracies
    if results.comparisons:
        differences = _table("Differences, points", "", "", "p")
        for compared in results.comparisons:
            names = f"{compared.first} → {compared.second}"
            differences.add_row(names, _points(compared.difference), f"{compared.p_value:.4f}")
        yield differences


def _accuracies(one: Evaluation) -> Iterator[tuple[str, Estimate | None]]:
    """Yield what is worth a line, by the paper's names: of a model with one sample, that sample alone."""
    yield "greedy", one.greedy
    if one.num_samples > 1 or one.greedy is None:
        yield "Pass@1", one.curves["pass_at_k"][0].accuracy
    for metric, heading in METRICS.items() if one.num_samples > 1 else ():
        points = one.curves.get(metric)
        yield heading, points[-1].accuracy if points else None


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _points(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    table.add_column(first)
    for column in others:
        table.add_column(column, no_wrap=True)
    return table
