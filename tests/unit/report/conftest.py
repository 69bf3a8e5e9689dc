from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from metamath_ray.evaluation.results import (
    CalibrationBin,
    ChosenSettings,
    ClusterPoint,
    Comparison,
    Estimate,
    Evaluation,
    Group,
    Point,
    Rates,
    Results,
    StopPoint,
    VerifierFigures,
)
from metamath_ray.report.data_quality import AugmentationQuality, DataQuality, Histogram
from metamath_ray.report.samples import SampleKind, ShownCluster, ShownSample
from metamath_ray.report.write import write_report
from metamath_ray.statistics import rate
from metamath_ray.types import Augmentation

GAINS = {"pass_at_k": 0.4, "majority_vote": 0.15, "best_of_n": 0.1, "weighted_vote": 0.2}
ATTACK = "<script>alert(1)</script> | `*$x$* ![x](http://example.org/x.png) &amp;"


def estimate(value: float, half: float = 0.04) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def curve(base: float, gain: float, calls: float) -> tuple[Point, ...]:
    return tuple(
        Point(num_samples=2**step, accuracy=estimate(base + gain * step / 3), num_verifier_calls=calls * 2**step)
        for step in range(4)
    )


def evaluation(name: str, base: float) -> Evaluation:
    """Return an evaluation without a verifier."""
    return Evaluation(
        name=name,
        model=f"runs/{name}",
        prompt_set_hash="9f2c41ab",
        num_problems=200,
        num_samples=8,
        greedy=estimate(base + 0.02),
        curves={metric: curve(base, GAINS[metric], 0) for metric in ("pass_at_k", "majority_vote")},
        settings=ChosenSettings(num_clusters=8, num_best=16, chosen_on=None),
        cluster_points=(),
        replay={
            "majority_vote": tuple(
                StopPoint(confidence=at, accuracy=estimate(base + 0.14), num_samples=estimate(8 * at - 2, 0.3))
                for at in (0.7, 0.95)
            )
        },
        verifier=None,
        groups={
            "level": tuple(
                Group(name=f"level {n}", num_problems=100, accuracy={"majority_vote": estimate(base + 0.2 - 0.1 * n)})
                for n in (1, 2)
            )
        },
        rates=Rates(
            unparsed=0.021, truncated=None, timed_out=0.0004, undecided=0.003, duplicate=0.084, inconsistent=0.005
        ),
        num_tokens=Estimate(value=1204.0, low=1180.0, high=1229.0),
        problem_ids=tuple(f"p{place}" for place in range(200)),
        by_problem={"greedy": (1.0,) * 200},
        manifest={"content_hash": "77b2d0aa", "versions": {"vllm": "0.29.0"}},
    )


def scored(one: Evaluation, base: float) -> Evaluation:
    """Return the evaluation with a verifier's figures."""
    return replace(
        one,
        curves={**one.curves, **{metric: curve(base, GAINS[metric], 0.9) for metric in ("best_of_n", "weighted_vote")}},
        cluster_points=tuple(
            ClusterPoint(
                num_clusters=k,
                accuracy={
                    "best_of_top_clusters": estimate(base + 0.12 + 0.01 * (k == 2)),
                    "oracle": estimate(base + 0.1 + 0.02 * k),
                },
                num_verifier_calls=2.0 * k,
            )
            for k in (1, 2, 3)
        ),
        verifier=VerifierFigures(
            auc=estimate(0.826),
            within_problem_auc=None,
            expected_calibration_error=0.041,
            calibration=tuple(
                CalibrationBin(mean_score=score, accuracy=score**2, num_samples=400) for score in (0.1, 0.5, 0.9)
            ),
        ),
    )


def comparison(first: str, second: str, difference: float, p_value: float) -> Comparison:
    return Comparison(
        first=first, second=second, num_problems=200, difference=estimate(difference, 0.03), p_value=p_value
    )


@pytest.fixture(scope="session")
def results() -> Results:
    """Return two evaluations of the same problems, the second one with a verifier."""
    return Results(
        evaluations=(evaluation("base", 0.2), scored(evaluation("sft", 0.3), 0.3)),
        comparisons=(
            comparison("base: greedy", "sft: greedy", 0.1, 0.00002),
            comparison("sft: majority_vote", "sft: weighted_vote", 0.02, 0.25),
            comparison("sft: majority_vote", "sft: majority_vote, adaptive at 0.95", -0.004, 0.5),
        ),
        contamination={
            "base": {"exact": 0, "template": 3, "ngram": 1},
            "sft": {"exact": 0, "template": 3, "ngram": 1},
        },
        environment={"created": "2026-11-22T17:40:05+00:00", "seed": 0, "hardware": {"num_cpus": 2}},
    )


@pytest.fixture(scope="session")
def quality() -> DataQuality:
    return DataQuality(
        num_rows=7,
        num_seeds=3,
        by_augmentation=(
            AugmentationQuality(
                augmentation=Augmentation.SELF_VERIFICATION,
                num_planned=20,
                acceptance=rate([True] * 8 + [False] * 12),
                num_rows=7,
                num_duplicates=1,
                new_numbers=0.125,
                diversity_gain=0.4,
            ),
            AugmentationQuality(
                augmentation=Augmentation.FOBAR,
                num_planned=4,
                acceptance=None,
                num_rows=0,
                num_duplicates=0,
                new_numbers=None,
                diversity_gain=None,
            ),
        ),
        diversity_gain=0.4,
        embedding="hashed n-grams",
        histograms=(
            Histogram(quantity="equations of a solution", edges=(0, 1, 2, 3), counts=(1, 2, 4)),
            Histogram(quantity="words of a solution", edges=(0, 10), counts=(0,)),
        ),
    )


def shown(kind: SampleKind, completion: str = "1 + 1 = 2") -> ShownSample:
    return ShownSample(
        question=f"What is one and one? {ATTACK}",
        reference_answer="2",
        completion=completion,
        extracted_answer=None,
        verdict="correct",
        score=0.75,
        kind=kind,
        clusters=(ShownCluster(answer=ATTACK, num_votes=3, total_score=2.5, is_correct=True),),
    )


@pytest.fixture(scope="session")
def samples() -> dict[str, list[ShownSample]]:
    return {"sft": [shown(SampleKind.RIGHT), shown(SampleKind.WRONG, ATTACK), shown(SampleKind.UNDECIDED)]}


@pytest.fixture(scope="session")
def written(
    tmp_path_factory: pytest.TempPathFactory,
    results: Results,
    quality: DataQuality,
    samples: dict[str, list[ShownSample]],
) -> Path:
    """Write the whole report once, and return its folder."""
    folder = tmp_path_factory.mktemp("run") / "report"
    write_report(results, folder, title="Base and fine-tuned", samples=samples, quality=quality)
    return folder


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[[str, float], Evaluation]:
    return evaluation
