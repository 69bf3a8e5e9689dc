"""What an evaluation found: every figure with its interval, as records that a report reads and `results.json` keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over problems with its 95 % interval, by the bootstrap over problems."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A metric at one number of samples.

    Attributes:
        num_samples: k.
        accuracy: Expected over orderings of the samples.
        num_verifier_calls: Solutions that the strategy has scored, a problem, on average; 0 where it scores none.
    """

    num_samples: int
    accuracy: Estimate
    num_verifier_calls: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPoint:
    """All samples at one K: how many of the largest clusters count (figure 1 of 2310.10047).

    Attributes:
        accuracy: Name of a strategy that looks at the largest clusters, or "oracle" (MajK@N) → its accuracy.
    """

    num_clusters: int
    accuracy: Mapping[str, Estimate]
    num_verifier_calls: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPoint:
    """Adaptive sampling replayed on the stored samples, at one confidence.

    Attributes:
        confidence: As `AdaptiveSampling.confidence`.
        num_samples: Samples drawn a problem, on average.
    """

    confidence: float
    accuracy: Estimate
    num_samples: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Scored samples whose S lies in one bin.

    Attributes:
        mean_score: Mean of S.
        accuracy: Share of them that is correct.
        num_samples: How many there are.
    """

    mean_score: float
    accuracy: float
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierFigures:
    """The verifier on these samples.

    Attributes:
        auc: Over all samples; None where a class is missing.
        within_problem_auc: Over pairs of one problem.
        expected_calibration_error: Mean distance of S from the share of correct samples.
    """

    auc: Estimate | None
    within_problem_auc: Estimate | None
    expected_calibration_error: float
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A part of the problems.

    Attributes:
        name: "level 3", "algebra", "2 steps", "question: 100-199 characters", …
        accuracy: Name of a metric → its accuracy on this part, with all samples: "pass_at_1" (sampled), "greedy",
            "majority_vote", "weighted_vote" and "pass_at_k", as far as they are there.
    """

    name: str
    num_problems: int
    accuracy: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Shares of samples.

    Attributes:
        unparsed: Ended by itself and states no answer that can be read.
        truncated: Cut by the token limit; None where the table does not say how samples ended.
        timed_out: Comparison with the reference ran out of time or memory (part of `undecided`); None where the table
            does not say why a sample is undecided.
        undecided: The grader could not tell.
        duplicate: The text stands earlier among the problem's samples.
        inconsistent: Problems in which one cluster holds both a correct and an incorrect sample.
    """

    unparsed: float
    truncated: float | None
    timed_out: float | None
    undecided: float
    duplicate: float
    inconsistent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSettings:
    """K and N, and where they come from.

    Attributes:
        num_clusters: K of the strategies that look at the largest clusters.
        num_best: N of "majority of best".
        chosen_on: What set they were chosen on; None for the defaults.
    """

    num_clusters: int
    num_best: int
    chosen_on: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One model on one set of problems.

    Attributes:
        name: As the user calls it.
        model: Name of the model that was sampled.
        num_problems: Problems with at least one sample.
        num_samples: N: samples of every problem (the smallest number that a problem has).
        greedy: Pass@1 of the greedy solution; None where there is no greedy sample.
        curves: Metric → its points at k = 1, 2, 4, … N. Metrics: "pass_at_k" and the values of `Strategy`; those that
            need scores are there only if every voting sample has one.
        cluster_points: At K = 1, 2, 3, 4, 6, 8, 12, 16, … as far as clusters go; empty without scores.
        replay: Adaptive sampling, by strategy (majority vote, and weighted vote where there are scores).
        verifier: None without scores.
        groups: Kind of part ("level", "subject", "num_steps", "question length") → parts.
        num_tokens: Tokens generated a problem for all N samples; None where the table does not know them.
        by_problem: Metric → one value a problem, in the order of `problem_ids`, at k = N; "greedy" and "pass_at_1"
            (sampled) among them.
        manifest: What the samples' own run says of itself: configuration, versions, hardware, seed; {} if unknown.
    """

    name: str
    model: str
    prompt_set_hash: str
    num_problems: int
    num_samples: int
    greedy: Estimate | None
    curves: Mapping[str, tuple[Point, ...]]
    settings: ChosenSettings
    cluster_points: tuple[ClusterPoint, ...]
    replay: Mapping[str, tuple[StopPoint, ...]]
    verifier: VerifierFigures | None
    groups: Mapping[str, tuple[Group, ...]]
    rates: Rates
    num_tokens: Estimate | None
    problem_ids: tuple[str, ...]
    by_problem: Mapping[str, tuple[float, ...]]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models on the problems that both have, or two metrics of one model.

    Attributes:
        first: Name of an evaluation, and of a metric: "base: greedy".
        difference: Mean of second - first over problems.
        p_value: Two-sided, by flipping the signs of the problems' differences at random.
    """

    first: str
    second: str
    num_problems: int
    difference: Estimate
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """Rows that a model was trained on, as far as they are known.

    Attributes:
        looked_through: Files and folders: those that the user named, and those that the model names.
        left_out: What the model names and was not looked through: it is not here, or a mapping names its columns.
    """

    looked_through: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything of one `evaluate`.

    Attributes:
        contamination: Name of an evaluation → number of its problems that stand in training rows, by kind of likeness;
            only where rows were looked through.
        training_rows: Name of an evaluation → the rows.
        environment: Versions, hardware, time and seed of this evaluation.
    """

    evaluations: tuple[Evaluation, ...]
    comparisons: tuple[Comparison, ...]
    contamination: Mapping[str, Mapping[str, int]]
    environment: Mapping[str, Any]
    training_rows: Mapping[str, TrainingRows] = field(default_factory=dict)
