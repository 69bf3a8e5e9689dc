"""The tables of an evaluation."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields

from metamath_ray.evaluation.results import Comparison, Estimate, Evaluation, Group, Rates, Results
from metamath_ray.report.document import Cell, Table, cells
from metamath_ray.report.wording import (
    MISSING,
    at_last,
    counted,
    fraction,
    in_order,
    interval,
    label,
    number,
    p_value,
    pass_at_1,
    percent,
    points,
)

_RATES = {
    "unparsed": "no answer read",
    "truncated": "cut by the token limit",
    "timed_out": "comparison timed out",
    "undecided": "undecided",
    "duplicate": "duplicate text",
    "inconsistent": "problems with an inconsistent cluster",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A column of the table of models; figures with different `depends_on` cannot be ranked."""

    name: str
    of: Callable[[Evaluation], Estimate | None]
    depends_on: Callable[[Evaluation], Hashable]


def _problems(evaluation: Evaluation) -> Hashable:
    return frozenset(evaluation.problem_ids)


def _problems_and_samples(evaluation: Evaluation) -> Hashable:
    return frozenset(evaluation.problem_ids), evaluation.num_samples


def _with_all_samples(metric: str, name: str) -> _Figure:
    return _Figure(name=name, of=lambda one: at_last(one, metric), depends_on=_problems_and_samples)


_FIGURES = (
    _Figure(name="greedy Pass@1", of=lambda one: one.greedy, depends_on=_problems),
    _Figure(name="sampled Pass@1", of=pass_at_1, depends_on=_problems),
    _with_all_samples("majority_vote", "maj@N"),
    _with_all_samples("weighted_vote", "weighted vote"),
    _with_all_samples("best_of_n", "best of N"),
    _with_all_samples("pass_at_k", "pass@N"),
)


def models_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return one row an evaluation; what no evaluation has is no column."""
    figures = [figure for figure in _FIGURES if any(figure.of(one) for one in evaluations)]
    best = {figure.name: _best(figure, evaluations) for figure in figures}
    rows = tuple(
        (
            *cells(one.name, f"{one.num_problems:,}", f"{one.num_samples:,}"),
            *(Cell(text=interval(figure.of(one)), is_best=one.name in best[figure.name]) for figure in figures),
            Cell(text=counted(one.num_tokens)),
        )
        for one in evaluations
    )
    return Table(
        caption="Accuracy in %, with 95 % intervals over problems",
        header=("model", "problems", "N", *(figure.name for figure in figures), "tokens a problem"),
        rows=rows,
        note="Bold: the highest figure of its column among evaluations of the same problems (and, where N counts, the "
        "same N); whether it is higher beyond chance, the comparisons tell."
        if any(best.values())
        else "",
    )


def _best(figure: _Figure, evaluations: Sequence[Evaluation]) -> set[str]:
    """Return the names with the highest figure, each among those that it can be compared with, if there are any."""
    rivals: dict[Hashable, list[tuple[str, float]]] = {}
    for one in evaluations:
        if estimate := figure.of(one):
            rivals.setdefault(figure.depends_on(one), []).append((one.name, estimate.value))
    return {
        name
        for group in rivals.values()
        for name, value in group
        if len(group) > 1 and value == max(value for _, value in group)
    }


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """Return one row a comparison, in points."""
    return Table(
        caption="Differences, second minus first, in points of accuracy, with 95 % intervals",
        header=("first", "second", "difference", "p-value", "problems"),
        num_texts=2,
        rows=tuple(
            cells(
                readable(one.first),
                readable(one.second),
                points(one.difference),
                p_value(one.p_value),
                f"{one.num_problems:,}",
            )
            for one in comparisons
        ),
        note="Paired on the same problems. The p-value is two-sided, by flipping the signs of the problems' "
        "differences at random; it is not corrected for the number of comparisons.",
    )


def readable(side: str) -> str:
    """Return a side of a comparison, "base: majority_vote", with the metric's name for readers."""
    name, colon, metric = side.rpartition(": ")
    return f"{name}{colon}{label(metric)}"


def all_strategies_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return every strategy with all samples."""
    metrics = in_order(sorted({metric for one in evaluations for metric in one.curves}))
    return Table(
        caption="Every strategy with all N samples: accuracy in %, with 95 % intervals",
        header=("strategy", *(one.name for one in evaluations)),
        rows=tuple(
            cells(label(metric), *(interval(at_last(one, metric)) for one in evaluations)) for metric in metrics
        ),
    )


def group_table(kind: str, evaluation: Evaluation) -> Table:
    """Return the accuracy on each part of the problems."""
    groups = evaluation.groups[kind]
    metrics = in_order(sorted({metric for group in groups for metric in group.accuracy}))
    return Table(
        caption=f"{evaluation.name}, by {kind_name(kind)}: accuracy in %, with 95 % intervals",
        header=(kind_name(kind), "problems", *map(label, metrics)),
        rows=tuple(_group_row(group, metrics) for group in groups),
    )


def _group_row(group: Group, metrics: Sequence[str]) -> tuple[Cell, ...]:
    return cells(group.name, f"{group.num_problems:,}", *(interval(group.accuracy.get(metric)) for metric in metrics))


def kind_name(kind: str) -> str:
    """Return the name of a way to part the problems: "num_steps" → "number of steps"."""
    return kind.replace("num_", "number of ").replace("_", " ")


def rates_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return the shares of samples that cost accuracy or say something about it."""
    return Table(
        caption="Shares of samples (the last: of problems)",
        header=("model", *_RATES.values()),
        rows=tuple(cells(one.name, *_shares(one.rates)) for one in evaluations),
    )


def _shares(rates: Rates) -> list[str]:
    assert set(_RATES) == {field.name for field in fields(Rates)}  # noqa: S101  a rate that no column shows
    shares = [getattr(rates, name) for name in _RATES]
    return [MISSING if share is None else percent(share, 2) for share in shares]


def verifier_table(evaluations: Sequence[Evaluation]) -> Table | None:
    """Return how good the verifiers are; None without any."""
    if not any(one.verifier for one in evaluations):
        return None
    rows = tuple(
        cells(
            one.name,
            fraction(one.verifier.auc),
            fraction(one.verifier.within_problem_auc),
            number(one.verifier.expected_calibration_error, 3),
        )
        for one in evaluations
        if one.verifier
    )
    return Table(
        caption="The verifier on these samples: AUC is the share of (right, wrong) pairs that it orders right",
        header=("model", "AUC, all samples", "AUC, within problems", "calibration error"),
        rows=rows,
    )


def contamination_table(results: Results) -> Table | None:
    """Return how many problems stand in training rows, by likeness; None where no rows were given."""
    kinds = list(dict.fromkeys(kind for counts in results.contamination.values() for kind in counts))
    if not results.contamination:
        return None
    sizes = {one.name: one.num_problems for one in results.evaluations}
    return Table(
        caption="Problems that stand in training rows, by likeness",
        header=("evaluation", "problems", *kinds),
        rows=tuple(
            cells(name, f"{sizes[name]:,}" if name in sizes else MISSING, *(f"{counts.get(k, 0):,}" for k in kinds))
            for name, counts in results.contamination.items()
        ),
        note="exact: the same text once case, spaces and punctuation are folded away. template: the same text with "
        "other numbers. ngram: 13 words in a row.",
    )
