"""A whole evaluation: the golden results of a fixed table, and what holds for any table."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metamath_ray.errors import ConfigError, DataError
from metamath_ray.evaluation import Evaluation, Precision, Results, SampleSet, evaluate, from_json, to_json
from metamath_ray.reranking import Strategy
from tests.unit.evaluation.tables import batches, sample_row, synthetic_problems

DATA = Path(__file__).resolve().parents[2] / "data" / "evaluation"
QUICK = Precision(num_orderings=8, num_resamples=200)


def golden_rows() -> list[dict[str, Any]]:
    """A dozen problems × 8, with everything that can happen to a sample; "correct" is right in other words."""
    compact = json.loads((DATA / "samples.json").read_text(encoding="utf-8"))
    return [
        sample_row(
            answer,
            question=problem["question"],
            reference=problem["answer"],
            level=problem["level"],
            index=index,
            score=score,
            **({} if reason is None else {"reason": reason.removeprefix("correct")}),
            **({"finish_reason": "length"} if reason == "truncated" else {}),
        )
        for problem in compact
        for index, (answer, score, reason) in enumerate(problem["samples"])
    ]


def golden_results() -> Results:
    rows = golden_rows()
    greedy = [{**row, "sample_index": 0} for row in rows if row["sample_index"] == 3]
    return evaluate({"golden": SampleSet(samples=batches(rows), greedy=batches(greedy), manifest={"seed": 1})})


def evaluated(rows: list[dict[str, Any]], **tables: Any) -> Evaluation:  # noqa: ANN401
    return evaluate({"base": SampleSet(samples=batches(rows), **tables)}, precision=QUICK).evaluations[0]


def test_the_fixed_table_gives_the_golden_results() -> None:
    assert json.loads(to_json(golden_results())) == json.loads((DATA / "results.json").read_text(encoding="utf-8"))


def test_results_come_back_as_they_were_written() -> None:
    text = to_json(golden_results())
    again = from_json(text)
    assert to_json(again) == text
    assert from_json(to_json(again)) == again
    assert again.evaluations[0].curves[Strategy.WEIGHTED_VOTE.value][-1].num_samples == 8


def test_no_number_is_written_as_nan() -> None:
    results = golden_results()
    odd = replace(results, environment={"speed": float("nan"), "time": float("inf")})
    assert json.loads(to_json(odd))["environment"] == {"speed": None, "time": None}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"evaluations": 3}'])
def test_a_text_of_something_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(DataError, match=r"run/results\.json: no results of an evaluation") as error:
        from_json(text, "run/results.json")
    assert "\n" not in str(error.value)


def test_the_order_of_the_rows_changes_nothing() -> None:
    rows = synthetic_problems(12, 6, seed=1)
    assert evaluated(rows) == evaluated(Random(0).sample(rows, len(rows)))


def test_figures_are_bounded_as_they_must_be() -> None:
    found = evaluated(synthetic_problems(25, 8, seed=2))
    curves = {name: [point.accuracy.value for point in points] for name, points in found.curves.items()}
    assert set(curves) == {"pass_at_k", *(strategy.value for strategy in Strategy)}
    assert all(values[0] == pytest.approx(curves["pass_at_k"][0]) for values in curves.values())
    assert all(
        value <= best + 1e-12
        for values in curves.values()
        for value, best in zip(values, curves["pass_at_k"], strict=True)
    )
    assert curves["pass_at_k"] == sorted(curves["pass_at_k"])
    assert [point.num_samples for point in found.curves["pass_at_k"]] == [1, 2, 4, 8]
    oracle = [point.accuracy["oracle"].value for point in found.cluster_points]
    assert oracle == sorted(oracle)
    assert oracle[-1] == pytest.approx(curves["pass_at_k"][-1])


def test_by_problem_the_values_average_to_the_curves_end() -> None:
    found = evaluated(synthetic_problems(10, 5, seed=3))
    for name, points in found.curves.items():
        assert sum(found.by_problem[name]) / 10 == pytest.approx(points[-1].accuracy.value)
        assert len(found.by_problem[name]) == len(found.problem_ids) == 10


def test_without_scores_there_is_nothing_of_a_verifier() -> None:
    found = evaluated(synthetic_problems(6, 4, seed=4, scored=False))
    assert set(found.curves) == {"pass_at_k", "majority_vote"}
    assert found.cluster_points == ()
    assert found.verifier is None
    assert set(found.replay) == {"majority_vote"}


def test_rates_are_shares_of_samples() -> None:
    rows = [
        sample_row("7", index=0),
        sample_row(None, index=1, completion="x"),
        sample_row(None, index=2, reason="truncated", finish_reason="length", completion="x"),
        sample_row("5", index=3, reason="undecided: over the memory limit"),
    ]
    rates = evaluated(rows).rates
    assert (rates.unparsed, rates.truncated, rates.timed_out, rates.undecided) == (0.25, 0.25, 0.25, 0.25)
    assert (rates.duplicate, rates.inconsistent) == (0.25, 0.0)


def test_what_the_table_does_not_know_is_none() -> None:
    rows = [sample_row("5", reason="undecided", finish_reason=None, num_completion_tokens=None)]
    found = evaluated(rows)
    assert (found.rates.truncated, found.rates.timed_out, found.num_tokens) == (None, None, None)


def test_tokens_are_those_of_all_samples_of_a_problem() -> None:
    found = evaluated([sample_row(index=index, num_completion_tokens=10 * index) for index in range(4)])
    assert found.num_tokens is not None
    assert found.num_tokens.value == pytest.approx(60)


def test_a_sample_more_of_one_problem_is_not_lost_to_pass_at_k() -> None:
    rows = [sample_row("8", index=0), sample_row("7", index=1), sample_row("8", question="Another?")]
    found = evaluated(rows)
    assert found.num_samples == 1
    assert sorted(found.by_problem["pass_at_k"]) == [0.0, 0.5]


def test_settings_come_from_the_validation_table_alone() -> None:
    validation = synthetic_problems(10, 4, seed=6)
    found = evaluated(synthetic_problems(8, 4, seed=5), validation=batches(validation), validation_name="train half")
    assert found.settings.chosen_on == "train half"
    assert evaluated(synthetic_problems(8, 4, seed=5)).settings.chosen_on is None


def test_models_are_compared_on_the_problems_that_both_have() -> None:
    rows = synthetic_problems(14, 4, seed=7)
    better = [{**row, "verdict": "correct", "extracted_answer": "7"} for row in rows if "Question 1" in str(row)]
    results = evaluate({"base": SampleSet(samples=batches(rows)), "sft": SampleSet(samples=batches(better))})
    across = [one for one in results.comparisons if one.second.startswith("sft") and one.first.startswith("base")]
    assert [one.second for one in across] == ["sft: pass_at_1", "sft: majority_vote", "sft: weighted_vote"]
    assert all(one.num_problems == 5 for one in across)
    assert all(one.difference.value >= 0 for one in across)
    base = results.evaluations[0]
    shared = [place for place, one in enumerate(base.problem_ids) if one in results.evaluations[1].problem_ids]
    missed = sum(1 - base.by_problem["majority_vote"][place] for place in shared) / 5
    assert across[1].difference.value == pytest.approx(missed)


def test_within_a_model_what_builds_on_another_is_compared_with_it() -> None:
    results = evaluate({"base": SampleSet(samples=batches(synthetic_problems(8, 4, seed=8)))}, precision=QUICK)
    assert [(one.first, one.second) for one in results.comparisons] == [
        ("base: pass_at_1", "base: majority_vote"),
        ("base: majority_vote", "base: weighted_vote"),
        ("base: weighted_vote", "base: weighted_vote_top_clusters"),
        ("base: majority_vote", "base: majority_vote, adaptive at 0.95"),
        ("base: weighted_vote", "base: weighted_vote, adaptive at 0.95"),
    ]
    voted = results.comparisons[1].difference.value
    found = results.evaluations[0].curves
    assert voted == pytest.approx(found["weighted_vote"][-1].accuracy.value - found["majority_vote"][-1].accuracy.value)


def test_models_without_a_common_problem_are_not_compared() -> None:
    here, there = [sample_row()], [sample_row(question="Another?")]
    results = evaluate({"a": SampleSet(samples=batches(here)), "b": SampleSet(samples=batches(there))}, precision=QUICK)
    assert not any(one.first.startswith("a") and one.second.startswith("b") for one in results.comparisons)


def test_training_rows_that_repeat_a_problem_are_counted_by_kind(tmp_path: Path) -> None:
    rows = [
        {"query": "What is 3 + 4", "original_question": "Unlike anything?"},
        {"query": "what is 3 + 4?", "original_question": "what is 3 + 4?"},
        {"query": "Ben has 12 nuts. How many?", "original_question": "Ben has 12 nuts. How many?"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = [sample_row(), sample_row(question="Ben has 5 nuts. How many?"), sample_row(question="Clean?")]
    sets = {"base": SampleSet(samples=batches(asked))}
    found = evaluate(sets, training_rows=[str(path)], precision=QUICK).contamination
    assert found == {"base": {"exact": 1, "template": 1, "ngram": 0}}


def test_a_training_row_without_a_question_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"response": "7"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: field 'query': expected the question"):
        evaluate({"base": SampleSet(samples=batches([sample_row()]))}, training_rows=[str(path)], precision=QUICK)


@pytest.mark.parametrize(
    ("greedy", "message"),
    [
        ([sample_row(question="Another?")], "base, greedy: 1 problems have no greedy sample"),
        ([sample_row(), sample_row(index=1)], "base, greedy: expected one greedy sample a problem"),
        ([sample_row(model="other")], "base, greedy: samples of model 'other'"),
    ],
)
def test_a_greedy_table_that_does_not_fit_is_refused(greedy: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluated([sample_row()], greedy=batches(greedy))


def test_a_greedy_table_may_hold_further_problems() -> None:
    greedy = [sample_row("8"), sample_row(question="Another?")]
    found = evaluated([sample_row()], greedy=batches(greedy))
    assert found.greedy is not None
    assert (found.greedy.value, found.by_problem["greedy"]) == (0.0, (0.0,))


def test_nothing_to_evaluate_is_refused() -> None:
    with pytest.raises(ConfigError, match="name at least one model"):
        evaluate({})


def test_each_model_is_compared_with_the_first_and_with_the_one_before() -> None:
    rows = synthetic_problems(8, 4, seed=9)
    names = ("base", "sft", "bootstrapped")
    results = evaluate({name: SampleSet(samples=batches(rows)) for name in names}, precision=QUICK)
    sampled = [one for one in results.comparisons if one.first.endswith(": pass_at_1") and "vote" not in one.second]
    assert [(one.first.partition(":")[0], one.second.partition(":")[0]) for one in sampled] == [
        ("base", "sft"),
        ("base", "bootstrapped"),
        ("sft", "bootstrapped"),
    ]


def test_a_model_with_one_sample_a_problem_is_compared_once() -> None:
    rows = synthetic_problems(8, 1, seed=9, scored=False)
    tables = {name: SampleSet(samples=batches(rows), greedy=batches(rows)) for name in ("base", "sft")}
    results = evaluate(tables, precision=QUICK)
    assert [(one.first, one.second) for one in results.comparisons] == [("base: greedy", "sft: greedy")]
