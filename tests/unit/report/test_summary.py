from collections.abc import Callable
from dataclasses import replace

import pytest

from metamath_ray.evaluation.results import Comparison, Estimate, Evaluation, Results
from metamath_ray.report.summary import TOLD_COMPARISONS, summary
from metamath_ray.report.tables import models_table
from metamath_ray.report.wording import counted, in_order, interval, label, listed, p_value, points

Make = Callable[[str, float], Evaluation]


def told(comparison: Comparison) -> str:
    """Return the sentence about one comparison."""
    return summary(Results(evaluations=(), comparisons=(comparison,), contamination={}, environment={}))[-1]


def compared(low: float, high: float, first: str = "a: greedy", second: str = "b: greedy") -> Comparison:
    difference = Estimate(value=(low + high) / 2, low=low, high=high)
    return Comparison(first=first, second=second, num_problems=50, difference=difference, p_value=0.04)


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(0.01, 0.2, True), (-0.2, -0.01, True), (-0.01, 0.2, False), (0.0, 0.2, False)]
)
def test_an_order_is_claimed_only_where_the_interval_excludes_0(low: float, high: float, holds: bool) -> None:
    assert ("does not exclude 0" not in told(compared(low, high))) is holds


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("a: greedy", "b: greedy", "In greedy Pass@1, b against a: "),
        ("a: pass_at_1", "a: majority_vote", "a: majority vote against sampled Pass@1: "),
        ("a: 7B: greedy", "b: greedy", "In greedy Pass@1, b against a: 7B: "),
        ("a: greedy", "b: weighted_vote", "b: weighted vote against a: greedy Pass@1: "),
        (
            "a: majority_vote",
            "a: majority_vote, adaptive at 0.95",
            "a: majority vote, adaptive at 0.95 against majority",
        ),
        ("plain", "other", "other against plain: "),
    ],
)
def test_what_both_sides_share_is_said_once(first: str, second: str, words: str) -> None:
    assert told(compared(0.1, 0.2, first, second)).startswith(words)


def test_every_pair_of_evaluations_is_told_of(make_evaluation: Make) -> None:
    many = [compared(0.1, 0.2, f"a: m{n}", f"b: m{n}") for n in range(20)]
    last = compared(0.1, 0.2, "a: greedy", "c: greedy")
    sentences = summary(Results(evaluations=(), comparisons=(*many, last), contamination={}, environment={}))
    assert sum("of the difference" in sentence for sentence in sentences) == TOLD_COMPARISONS
    assert any("c against a" in sentence for sentence in sentences)
    assert sentences[-1] == "13 more comparisons in the table of comparisons."


def test_evaluations_of_other_problems_are_not_ranked(make_evaluation: Make) -> None:
    base, better = make_evaluation("base", 0.2), make_evaluation("better", 0.3)
    other = replace(better, name="other", problem_ids=tuple(f"q{place}" for place in range(200)))
    results = Results(evaluations=(base, better, other), comparisons=(), contamination={}, environment={})
    sentences = summary(results)
    assert any(
        sentence.startswith("Highest figures among base and better: by one sample, better") for sentence in sentences
    )
    assert any(sentence.startswith("Highest figures: by one sample, other") for sentence in sentences)
    best = {row[0].text: [cell.is_best for cell in row] for row in models_table(results.evaluations).rows}
    assert any(best["better"])
    assert not any(best["base"] + best["other"])


def test_other_numbers_of_samples_are_ranked_by_one_sample_alone(make_evaluation: Make) -> None:
    base, more = make_evaluation("base", 0.2), replace(make_evaluation("more", 0.3), num_samples=16)
    table = models_table([base, more])
    best = [name for name, cell in zip(table.header, table.rows[1], strict=True) if cell.is_best]
    assert best == ["greedy Pass@1", "sampled Pass@1"]


def test_an_evaluation_without_greedy_samples_is_told_by_sampled_ones(make_evaluation: Make) -> None:
    one = replace(make_evaluation("base", 0.2), greedy=None)
    sentences = summary(Results(evaluations=(one,), comparisons=(), contamination={}, environment={}))
    assert sentences[0] == "1 evaluation (base), 200 problems, 8 samples of each."
    assert "by one sample, base with sampled Pass@1, 20.0 [16.0, 24.0]" in sentences[1]
    assert "greedy Pass@1" not in models_table([one]).header


def test_figures_read_the_same_everywhere() -> None:
    estimate = Estimate(value=0.452, low=0.41, high=0.4941)
    assert interval(estimate) == "45.2 [41.0, 49.4]"
    assert interval(None) == counted(None) == "–"
    assert points(Estimate(value=-0.004, low=-0.016, high=0.0)) == "−0.4 [−1.6, 0.0]"
    assert (p_value(0.0002), p_value(0.25)) == ("<\u00a00.001", "0.250")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert label("some_new_metric") == "some new metric"
    assert in_order(["zeta", "pass_at_k", "greedy"]) == ["greedy", "pass_at_k", "zeta"]
