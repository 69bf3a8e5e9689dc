"""What an evaluation found, in sentences made from its figures: an order holds only where its interval says so."""

from collections.abc import Hashable, Iterator, Sequence
from itertools import islice, zip_longest

from metamath_ray.evaluation.results import Comparison, Estimate, Evaluation, Results
from metamath_ray.report.tables import readable
from metamath_ray.report.wording import (
    NBSP,
    at_last,
    excludes_zero,
    in_order,
    interval,
    label,
    listed,
    p_value,
    pass_at_1,
    plural,
    points,
)

TOLD_COMPARISONS = 8
"""How many comparisons are told in sentences, evenly from all pairs of evaluations; all are in the table."""


def summary(results: Results) -> tuple[str, ...]:
    """Return the sentences at the head of a report: what was measured, what is best by what, which orders hold."""
    return (_measured(results.evaluations), *_best_of_each_set(results.evaluations), *_orders(results.comparisons))


def _measured(evaluations: Sequence[Evaluation]) -> str:
    if not evaluations:
        return "Nothing was evaluated."
    names = listed([one.name for one in evaluations])
    problems = _span([one.num_problems for one in evaluations], "problem")
    samples = _span([one.num_samples for one in evaluations], "sample")
    return f"{plural(len(evaluations), 'evaluation')} ({names}), {problems}, {samples} of each."


def _span(counts: Sequence[int], name: str) -> str:
    low, high = min(counts), max(counts)
    return plural(low, name) if low == high else f"{low:,} to {plural(high, name)}"


def _best_of_each_set(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Yield the best evaluation of each set of problems, by one sample and by all of them."""
    sets: dict[Hashable, list[Evaluation]] = {}
    for one in evaluations:
        sets.setdefault(frozenset(one.problem_ids), []).append(one)
    for rivals in sets.values():
        single = [found for one in rivals if (found := _single(one))]
        chosen = [found for one in rivals for found in _chosen(one)]
        told = [_told(kind, found) for kind, found in (("one sample", single), ("all samples", chosen)) if found]
        if told:
            among = f" among {listed([one.name for one in rivals])}" if len(rivals) > 1 else ""
            yield f"Highest figures{among}: {'; '.join(told)}."


def _single(one: Evaluation) -> tuple[str, str, Estimate] | None:
    metric, estimate = ("greedy", one.greedy) if one.greedy else ("pass_at_1", pass_at_1(one))
    return (one.name, metric, estimate) if estimate else None


def _chosen(one: Evaluation) -> Iterator[tuple[str, str, Estimate]]:
    """Yield what a user can have: strategies that choose an answer without knowing the right one."""
    for metric in in_order([name for name in one.curves if name not in ("pass_at_k", "oracle")]):
        if estimate := at_last(one, metric):
            yield one.name, metric, estimate


def _told(kind: str, found: Sequence[tuple[str, str, Estimate]]) -> str:
    name, metric, estimate = max(found, key=lambda one: one[2].value)
    return f"by {kind}, {name} with {label(metric)}, {interval(estimate)}{NBSP}%"


def _orders(comparisons: Sequence[Comparison]) -> Iterator[str]:
    for one in _evenly(comparisons, TOLD_COMPARISONS):
        verdict = "excludes 0" if excludes_zero(one.difference) else "does not exclude 0"
        yield (
            f"{_matched(one)}: {points(one.difference)} points; the interval of the difference {verdict} "
            f"(p{NBSP}{_relation(one.p_value)}, {plural(one.num_problems, 'problem')})."
        )
    if len(comparisons) > TOLD_COMPARISONS:
        yield f"{plural(len(comparisons) - TOLD_COMPARISONS, 'more comparison')} in the table of comparisons."


def _evenly(comparisons: Sequence[Comparison], limit: int) -> list[Comparison]:
    """Return at most `limit` comparisons, in their order: of each pair of evaluations as many as of the others."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(comparisons):
        pairs.setdefault((one.first.rpartition(": ")[0], one.second.rpartition(": ")[0]), []).append(place)
    turns = (place for turn in zip_longest(*pairs.values()) for place in turn if place is not None)
    return [comparisons[place] for place in sorted(islice(turns, limit))]


def _matched(one: Comparison) -> str:
    """Say what is compared; what both sides share, once."""
    (first, _, by), (second, _, other) = one.first.rpartition(": "), one.second.rpartition(": ")
    if by == other and first and second:
        return f"In {label(by)}, {second} against {first}"
    if first and first == second:
        return f"{first}: {label(other)} against {label(by)}"
    return f"{readable(one.second)} against {readable(one.first)}"


def _relation(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"={NBSP}{text}"
