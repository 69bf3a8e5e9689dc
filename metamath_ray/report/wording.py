"""Figures and names as a reader sees them: the same in the tables, in the plots and in the sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from metamath_ray.evaluation.results import Estimate, Evaluation
from metamath_ray.types import Augmentation

MISSING = "–"
NBSP = "\u00a0"
"""A space at which no line is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric's name.

    Attributes:
        label: In tables and plots.
        paper: In MetaMath (2309.12284) or 2310.10047; "" where neither has it.
        meaning: One sentence.
    """

    label: str
    paper: str
    meaning: str


METRICS = {
    "greedy": Metric(
        label="greedy Pass@1",
        paper="Pass@1",
        meaning="Share of problems that the solution at temperature 0 gets right.",
    ),
    "pass_at_1": Metric(
        label="sampled Pass@1", paper="", meaning="Share of right samples of a problem, averaged over problems."
    ),
    "majority_vote": Metric(
        label="majority vote",
        paper="Maj1@N",
        meaning="The answer that most samples give; answers that are mathematically equal are one answer.",
    ),
    "best_of_n": Metric(
        label="best of N", paper="RR.All", meaning="The answer of the one sample that the verifier scores highest."
    ),
    "best_of_top_clusters": Metric(
        label="best of top K",
        paper="RR.MajK",
        meaning="The answer of the best-scored sample among the K most frequent answers.",
    ),
    "weighted_vote": Metric(
        label="weighted vote", paper="W.RR", meaning="The answer whose samples have the largest sum of scores."
    ),
    "weighted_vote_top_clusters": Metric(
        label="weighted vote, top K",
        paper="W.RR.MajK",
        meaning="The same among the K most frequent answers; only their samples are scored.",
    ),
    "majority_of_best": Metric(
        label="majority of best",
        paper="Maj1.TopN",
        meaning="The majority vote of the samples that the verifier scores highest.",
    ),
    "pass_at_k": Metric(
        label="pass@N",
        paper="Pass@N",
        meaning="Share of problems with a right solution among N samples; at k below N, its unbiased estimate "
        "1 − C(n−c, k) / C(n, k) from the c right ones of n samples (2107.03374).",
    ),
    "oracle": Metric(
        label="any of top K",
        paper="MajK@N",
        meaning="Share of problems with the right answer among the K most frequent ones, which re-ranking can reach.",
    ),
}
"""Every metric by the name that results give it, in the order in which they are shown."""


def label(metric: str) -> str:
    """Return a metric's name for readers, with what follows its first comma; an unknown one stays readable."""
    name, comma, rest = metric.partition(", ")
    return (METRICS[name].label if name in METRICS else name.replace("_", " ")) + comma + rest


def in_order(names: Sequence[str]) -> list[str]:
    """Return the metrics in the order of `METRICS`, unknown ones last."""
    places = {name: place for place, name in enumerate(METRICS)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def number(value: float, digits: int = 1) -> str:
    """Return a number with a true minus sign and thousands commas."""
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float, digits: int = 1) -> str:
    """Return a share as "45.2 %"."""
    return f"{number(100 * value, digits)}{NBSP}%"


def interval(estimate: Estimate | None) -> str:
    """Return a share in percent with its interval: "45.2 [41.0, 49.4]"."""
    if estimate is None:
        return MISSING
    value, low, high = (number(100 * share) for share in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def fraction(estimate: Estimate | None) -> str:
    """Return a figure from 0 to 1 with its interval: "0.826 [0.810, 0.841]"."""
    if estimate is None:
        return MISSING
    return f"{number(estimate.value, 3)} [{number(estimate.low, 3)}, {number(estimate.high, 3)}]"


def counted(estimate: Estimate | None) -> str:
    """Return a number of things with its interval: "1,204 [1,180 – 1,229]"."""
    if estimate is None:
        return MISSING
    return f"{number(estimate.value, 0)} [{number(estimate.low, 0)} – {number(estimate.high, 0)}]"


def points(difference: Estimate) -> str:
    """Return a difference of shares in points: "+12.1 [+8.0, +16.2]"."""
    value, low, high = (_signed(100 * share) for share in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"


def p_value(value: float) -> str:
    """Return a p-value to three digits, never 0."""
    return f"<{NBSP}0.001" if value < 0.001 else f"{value:.3f}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return "1 problem", "1,270 problems"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def at_last(evaluation: Evaluation, metric: str) -> Estimate | None:
    """Return a metric with all samples; None where the evaluation lacks it."""
    curve = evaluation.curves.get(metric)
    return curve[-1].accuracy if curve else None


def pass_at_1(evaluation: Evaluation) -> Estimate | None:
    """Return the share of right samples; None where it is not told."""
    first = evaluation.curves.get("pass_at_k", ())[:1]
    return first[0].accuracy if first and first[0].num_samples == 1 else None


def excludes_zero(difference: Estimate) -> bool:
    """Whether the interval lies on one side of 0."""
    return difference.low > 0 or difference.high < 0


def augmentation_name(augmentation: Augmentation) -> str:
    """Return an augmentation's name for readers."""
    match augmentation:
        case Augmentation.SELF_VERIFICATION:
            return "self-verification"
        case Augmentation.FOBAR:
            return "FOBAR"
        case _:
            return augmentation.replace("_", " ")
