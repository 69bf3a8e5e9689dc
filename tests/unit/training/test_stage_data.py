import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metamath_ray.config import SamplesConfig, SolutionsConfig, SourceConfig
from metamath_ray.errors import DataError
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row
from metamath_ray.storage.samples import SAMPLE_SCHEMA
from metamath_ray.training.examples import Example
from metamath_ray.training.stage_data import (
    JudgedSample,
    SampleSet,
    SolutionSet,
    held_out_samples,
    reference_response,
)
from metamath_ray.training.units import UnitKind
from metamath_ray.types import Problem
from tests.records import make_item, make_outcome

REFERENCES: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "data" / "training" / "reference_solutions.json").read_text("utf-8")
)
TYPES = ["GSM_AnsAug", "MATH_FOBAR", "WORD_PROBLEMS_SV", "GSM_Rephrased"]
ROWS: list[dict[str, Any]] = [
    {
        "query": f"What is {n} + 1?",
        "response": f"{n + 1}\nThe answer is: {n + 1}",
        "type": kind,
        "original_question": "Q",
    }
    for n, kind in enumerate(TYPES)
]


def as_array(rows: list[dict[str, Any]], folder: Path) -> Path:
    (folder / "MetaMathQA-395K.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder / "MetaMathQA-395K.json"


def as_lines(rows: list[dict[str, Any]], folder: Path) -> Path:
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return folder / "rows.jsonl"


def as_parquet(rows: list[dict[str, Any]], folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def as_run(rows: list[dict[str, Any]], folder: Path) -> Path:
    RunDirectory(str(folder)).write_manifest(Manifest(content={}, configuration={}))
    (folder / "dataset").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "dataset" / "metamathqa.parquet")
    return folder


writers = pytest.mark.parametrize("write", [as_array, as_lines, as_parquet, as_run])
Writer = Callable[[list[dict[str, Any]], Path], Path]


def examples_of(path: Path, *, limit: int | None = None, seed: int = 0) -> list[Example]:
    return list(SolutionSet(SolutionsConfig(rows=str(path), limit=limit), seed=seed).examples())


@writers
def test_rows_of_metamathqa_are_read_from_every_form_of_them(write: Writer, tmp_path: Path) -> None:
    found = examples_of(write(ROWS, tmp_path))
    assert [example.question for example in found] == [row["query"] for row in ROWS]
    assert [example.solutions for example in found] == [(row["response"],) for row in ROWS]
    assert [example.source for example in found] == ["gsm8k", "math", "word_problems", "gsm8k"]
    assert {(example.kind, example.labels) for example in found} == {(UnitKind.SOLUTION, ())}


def test_rows_without_a_type_or_with_more_columns_are_rows(tmp_path: Path) -> None:
    [example] = examples_of(as_lines([{"query": "Q", "response": 7, "more": [1]}], tmp_path))
    assert (example.question, example.solutions, example.source) == ("Q", ("7",), "")


@writers
@pytest.mark.parametrize("column", ["query", "response"])
def test_a_column_that_is_not_there_is_named_with_file_and_line(write: Writer, column: str, tmp_path: Path) -> None:
    rows = [{name: value for name, value in row.items() if name != column} for row in ROWS]
    with pytest.raises(DataError, match=rf"(json|jsonl|parquet):1: field '{column}': expected a text, got nothing"):
        examples_of(write(rows, tmp_path))


def test_one_line_without_its_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:3: field 'response': expected a text, got nothing"):
        examples_of(as_lines([*ROWS[:2], {"query": "Q"}], tmp_path))


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1: field 'response': expected a text or a number"):
        examples_of(as_lines([{"query": "Q", "response": ["7"]}], tmp_path))


@pytest.mark.parametrize("blank", [None, "", " \n\t"])
@writers
def test_a_blank_text_goes_on_to_be_counted(write: Writer, blank: str | None, tmp_path: Path) -> None:
    rows = [*ROWS, {**ROWS[0], "query": blank}, {**ROWS[0], "response": blank}]
    found = examples_of(write(rows, tmp_path))
    assert (found[-2].question, found[-1].solutions) == ("", ("",))
    assert len(found) == len(rows)


def test_a_run_without_a_data_set_says_how_to_make_it(tmp_path: Path) -> None:
    RunDirectory(str(tmp_path)).write_manifest(Manifest(content={}, configuration={}))
    with pytest.raises(DataError, match=r"no data set yet; run `metamath-ray export --run-directory .*`"):
        examples_of(tmp_path)


def test_what_cannot_be_read_or_is_empty_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        examples_of(tmp_path / "nowhere.jsonl")
    with pytest.raises(DataError, match="is empty"):
        examples_of(as_lines([], tmp_path))


@pytest.mark.parametrize("case", REFERENCES, ids=lambda case: case["id"])
def test_a_reference_solution_as_a_response(case: dict[str, str]) -> None:
    problem = Problem(question="Q", reference_answer=case["answer"], reference_solution=case["solution"])
    assert reference_response(problem, case["style"]) == case["expected"]


def problems_of(**source: Any) -> list[Example]:  # noqa: ANN401
    config = SolutionsConfig(problems=SourceConfig(**source), style="step_by_step")
    return list(SolutionSet(config, seed=0).examples())


def test_malformed_problems_are_skipped_on_demand_and_told(tmp_path: Path) -> None:
    good = {"problem": "What is 1+1?", "solution": "It is $\\boxed{2}$."}
    path = as_lines([{"problem": "Q"}, good, {"solution": "S"}], tmp_path)
    source = SourceConfig(format="math", path=str(path), skip_invalid=True)
    solutions = SolutionSet(SolutionsConfig(problems=source), seed=0)
    assert [example.question for example in solutions.examples()] == ["What is 1+1?"]
    assert [f"{path.name}:{line}" in said for line, said in zip((1, 3), solutions.invalid, strict=True)] == [True, True]


def test_problems_are_learned_by_their_reference_solutions(tmp_path: Path) -> None:
    path = as_lines([{"problem": "What is 1+1?", "solution": "We add. It is $\\boxed{2}$."}], tmp_path)
    [example] = problems_of(format="math", path=str(path))
    assert (example.question, example.source) == ("What is 1+1?", "math")
    assert example.solutions == ("We add.\nIt is $\\boxed{2}$.\nThe answer is: 2",)


def test_the_synthetic_problems_can_be_learned() -> None:
    found = problems_of(format="word_problems", limit=5)
    assert len({example.question for example in found}) == 5
    assert all("\nThe answer is: " in example.solutions[0] for example in found)


def test_a_malformed_problem_stops_unless_it_is_to_be_skipped(tmp_path: Path) -> None:
    rows = [{"problem": "Q", "solution": "It is $\\boxed{2}$."}, {"problem": "Q", "solution": ""}]
    path = str(as_lines(rows, tmp_path))
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        problems_of(format="math", path=path)
    assert len(problems_of(format="math", path=path, skip_invalid=True)) == 1


def test_problems_that_are_measured_on_are_not_learned(tmp_path: Path) -> None:
    path = as_lines([{"problem": "Q", "solution": "It is $\\boxed{2}$."}], tmp_path).rename(tmp_path / "test.jsonl")
    with pytest.raises(DataError, match=r"'test\.jsonl:1' belongs to the split \"test\""):
        problems_of(format="math", path=str(path))
    assert problems_of(format="math", path=str(path), split="train")


def test_a_limit_draws_rows_with_the_seed_alone(tmp_path: Path) -> None:
    path = as_lines([{**ROWS[0], "query": f"Q{number}"} for number in range(40)], tmp_path)
    one, again, other = (examples_of(path, limit=7, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len({example.question for example in one}) == 7
    assert len(examples_of(path, limit=99)) == 40


def test_a_limit_draws_every_row_equally_often(tmp_path: Path) -> None:
    path = as_lines([{**ROWS[0], "query": f"Q{number}"} for number in range(10)], tmp_path)
    times = Counter(example.question for seed in range(500) for example in examples_of(path, limit=3, seed=seed))
    assert len(times) == 10
    assert all(150 - 45 < count < 150 + 45 for count in times.values())  # 4.4 standard deviations


def sample_row(problem: int, index: int, *, is_correct: bool = True, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    row: dict[str, Any] = dict.fromkeys(SAMPLE_SCHEMA.names)
    return {
        **row,
        "sample_id": f"{problem}.{index}",
        "problem_id": f"p{problem}",
        "problem": {"question": f"Question {problem}?", "source": "gsm8k", "split": "train", "source_id": ""},
        "sample_index": index,
        "completion": f"Solution {index}. The answer is: {index}",
        "finish_reason": "stop",
        "verdict": "correct" if is_correct else "incorrect",
        "extracted_answer": str(index),
        **changes,
    }


def written(
    rows: list[dict[str, Any]],
    folder: Path,
    **settings: Any,  # noqa: ANN401
) -> tuple[str, SamplesConfig]:
    path = str(folder / "samples.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), path)
    return path, SamplesConfig.model_validate({"path": path, "validation_share": 0.3, **settings})


def sample_set(rows: list[dict[str, Any]], folder: Path, *, with_pairs: bool = True, max_pairs: int = 10) -> SampleSet:
    path, config = written(rows, folder, max_pairs_per_problem=max_pairs)
    return SampleSet((path,), config, seed=0, with_pairs=with_pairs)


def held_out(rows: list[dict[str, Any]], folder: Path) -> list[JudgedSample]:
    path, config = written(rows, folder)
    return held_out_samples((path,), config, seed=0)


MIXED = [
    *(sample_row(problem, index, is_correct=index < 2) for problem in range(30) for index in range(4)),
    *(sample_row(problem, index) for problem in range(30, 40) for index in range(2)),
]


def sides(folder: Path, *, seed: int = 0) -> tuple[set[str], set[str]]:
    path, config = written(MIXED, folder)
    samples = SampleSet((path,), config, seed=seed, with_pairs=True)
    learned = {example.question for example in samples.examples(with_singles=True)}
    return learned, {sample.question for sample in held_out_samples((path,), config, seed=seed)}


def test_a_problem_is_learned_or_held_out_and_never_both(tmp_path: Path) -> None:
    learned, kept_apart = sides(tmp_path)
    assert not learned & kept_apart
    assert len(learned) + len(kept_apart) == 40
    assert 5 <= len(kept_apart) <= 20
    assert sides(tmp_path) == (learned, kept_apart)
    assert sides(tmp_path, seed=1)[1] != kept_apart


def test_held_out_samples_keep_what_they_were_graded_as(tmp_path: Path) -> None:
    labels = {(row["problem_id"], row["completion"]): row["verdict"] == "correct" for row in MIXED}
    found = held_out(MIXED, tmp_path)
    assert {sample.is_correct for sample in found} == {True, False}
    for sample in found:
        assert labels[sample.problem_id, sample.completion] == sample.is_correct
        assert sample.question == f"Question {sample.problem_id[1:]}?"


def test_pairs_are_of_one_problem_with_the_right_solution_first(tmp_path: Path) -> None:
    examples = list(sample_set(MIXED, tmp_path, max_pairs=3).examples(with_singles=True))
    by_text = {(row["problem"]["question"], row["completion"]): row["verdict"] == "correct" for row in MIXED}
    pairs = [example for example in examples if example.kind is UnitKind.PAIR]
    singles = [example for example in examples if example.kind is UnitKind.JUDGED]
    assert examples == [*pairs, *singles]
    assert max(Counter(example.question for example in pairs).values()) == 3
    assert {example.labels for example in pairs} == {(True, False)}
    assert singles
    for example in examples:
        assert [by_text[example.question, text] for text in example.solutions] == list(example.labels)
        assert example.source == "gsm8k"


def test_without_pairs_every_sample_is_judged_by_itself(tmp_path: Path) -> None:
    samples = sample_set(MIXED, tmp_path, with_pairs=False)
    examples = list(samples.examples(with_singles=True))
    assert {example.kind for example in examples} == {UnitKind.JUDGED}
    assert len(examples) + len(held_out(MIXED, tmp_path)) == len(MIXED)


def test_balanced_within_problems_the_pointwise_loss_alone_sees_as_many_right_as_wrong_of_each(tmp_path: Path) -> None:
    path, config = written(MIXED, tmp_path, balance="within_problems")
    examples = list(SampleSet((path,), config, seed=0, with_pairs=False).examples(with_singles=True))
    assert examples == list(sample_set(MIXED, tmp_path).examples(with_singles=True))
    assert {example.kind for example in examples} == {UnitKind.PAIR, UnitKind.JUDGED}


def test_singles_are_left_out_where_they_teach_nothing(tmp_path: Path) -> None:
    examples = list(sample_set(MIXED, tmp_path).examples(with_singles=False))
    assert {example.kind for example in examples} == {UnitKind.PAIR}


@pytest.mark.parametrize(
    "changes",
    [
        {"finish_reason": "length"},
        {"verdict": "unscored"},
        {"extracted_answer": None},
        {"completion": " \n"},
    ],
)
def test_samples_that_prove_nothing_are_neither_learned_nor_measured_on(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    useless = [sample_row(problem, 9, **changes) for problem in range(40)]
    assert sample_set([*MIXED, *useless], tmp_path).selection == sample_set(MIXED, tmp_path).selection
    assert held_out([*MIXED, *useless], tmp_path) == held_out(MIXED, tmp_path)
    assert held_out(useless, tmp_path) == []
    with pytest.raises(DataError, match="no example to learn from: 0 problems"):
        sample_set(useless, tmp_path)


def test_pairs_alone_need_a_problem_that_is_solved_right_and_wrong(tmp_path: Path) -> None:
    samples = sample_set([sample_row(problem, 0) for problem in range(20)], tmp_path)
    assert list(samples.examples(with_singles=True))
    with pytest.raises(DataError, match=r"no pair to learn from: .* set the stage's pointwise_weight"):
        list(samples.examples(with_singles=False))


def test_samples_of_problems_that_are_measured_on_are_refused(tmp_path: Path) -> None:
    problem = {"question": "Seen in the test?", "source": "gsm8k", "split": "test", "source_id": "test.jsonl:4"}
    with pytest.raises(DataError, match=r"'test\.jsonl:4' belongs to the split \"test\""):
        sample_set([*MIXED, {**MIXED[0], "problem": problem}], tmp_path)
    with pytest.raises(DataError, match=r"'test\.jsonl:4' belongs to the split \"test\""):
        held_out([*MIXED, {**MIXED[0], "problem": problem}], tmp_path)


def test_the_samples_of_a_bootstrap_are_read_from_its_run_directory(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    run.write_manifest(Manifest(content={}, configuration={}))
    run.write_plan(item_to_row(make_item(number), number) for number in range(3))
    outcomes = [outcome_to_row(make_outcome(n), position=n, prompt_set_hash="h", seconds=0.1) for n in range(3)]
    run.write_outcomes(outcomes, "a")
    config = SamplesConfig(path=(str(tmp_path),), validation_share=0.001)
    samples = SampleSet((str(tmp_path),), config, seed=0, with_pairs=True)
    assert (samples.selection.num_correct, samples.selection.num_duplicates) == (1, 2)


def tables(folder: Path, *rows: list[dict[str, Any]], **settings: Any) -> tuple[tuple[str, ...], SamplesConfig]:  # noqa: ANN401
    """Write a table for each list of rows, as a loop's rounds leave them."""
    paths = []
    for number, table in enumerate(rows):
        (folder / str(number)).mkdir(parents=True)
        paths.append(written(table, folder / str(number))[0])
    return tuple(paths), SamplesConfig.model_validate({"path": paths, "validation_share": 0.3, **settings})


def learned_from(folder: Path, *rows: list[dict[str, Any]]) -> SampleSet:
    return SampleSet(*tables(folder, *rows), seed=0, with_pairs=False)


def measured_on(folder: Path, *rows: list[dict[str, Any]]) -> list[JudgedSample]:
    return held_out_samples(*tables(folder, *rows), seed=0)


NEXT = [
    sample_row(problem, index, is_correct=index == 0, completion=f"Later {index}. The answer is: {index}")
    for problem in range(20, 50)
    for index in range(3)
]


def test_a_verifier_learns_from_all_tables_though_their_indices_repeat(tmp_path: Path) -> None:
    both = learned_from(tmp_path / "both", MIXED, NEXT)
    found = list(both.examples(with_singles=True))
    alone = [
        learned_from(tmp_path / name, rows).examples(with_singles=True) for name, rows in (("a", MIXED), ("b", NEXT))
    ]
    assert Counter(found) == Counter(example for examples in alone for example in examples)
    assert both.selection.num_duplicates == 0


def test_samples_of_several_tables_make_pairs(tmp_path: Path) -> None:
    right, wrong = ([row for row in MIXED if row["verdict"] == verdict] for verdict in ("correct", "incorrect"))
    apart = SampleSet(*tables(tmp_path / "apart", right, wrong), seed=0, with_pairs=True)
    together = SampleSet(*tables(tmp_path / "together", MIXED), seed=0, with_pairs=True)
    assert apart.selection == together.selection
    assert list(apart.examples(with_singles=True)) == list(together.examples(with_singles=True))


@pytest.mark.parametrize("shift", [0, 100])
def test_equal_texts_of_a_problem_are_learned_once_and_counted(shift: int, tmp_path: Path) -> None:
    again = [{**row, "sample_index": row["sample_index"] + shift} for row in MIXED]
    one, both = learned_from(tmp_path / "one", MIXED), learned_from(tmp_path / "both", MIXED, again)
    assert list(both.examples(with_singles=True)) == list(one.examples(with_singles=True))
    assert both.selection.num_duplicates == one.selection.num_correct + one.selection.num_incorrect


def test_a_problem_is_learned_or_held_out_in_all_tables_alike(tmp_path: Path) -> None:
    paths, config = tables(tmp_path, MIXED, NEXT)
    here = {
        example.question for example in SampleSet(paths, config, seed=0, with_pairs=True).examples(with_singles=True)
    }
    there = {sample.question for sample in held_out_samples(paths, config, seed=0)}
    assert not here & there
    assert len(here) + len(there) == 50


def test_a_text_is_measured_on_in_the_first_table_that_has_it_as_often_as_there(tmp_path: Path) -> None:
    twice = [*MIXED, *({**row, "sample_index": row["sample_index"] + 100} for row in MIXED)]
    spaced = [{**row, "completion": f"  {row['completion']}\n"} for row in twice]
    first, later = measured_on(tmp_path / "first", twice), measured_on(tmp_path / "later", NEXT)
    assert Counter(first).keys() == Counter(measured_on(tmp_path / "once", MIXED)).keys()
    assert set(Counter(first).values()) == {2}
    assert measured_on(tmp_path / "all", twice, NEXT, spaced) == [*first, *later]


def test_tables_without_an_example_are_all_named(tmp_path: Path) -> None:
    useless = [sample_row(problem, 9, verdict="unscored") for problem in range(40)]
    with pytest.raises(DataError, match=r"0/samples\.parquet, .*1/samples\.parquet: no example to learn from"):
        learned_from(tmp_path, useless, useless)
