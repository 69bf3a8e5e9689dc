from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.errors import ConfigError
from metamath_ray.loop.inputs import Inputs, inputs_of
from metamath_ray.loop.steps import unfold
from tests.unit.loop.loops import JUDGED, STEPS, loop_config, with_step

HASHES = dict.fromkeys(STEPS, "0" * 24)
PROBLEMS = STEPS["test"]["problems"]
MODEL = STEPS["test"]["engine"]["model"]
STAGES = STEPS["generator"]["stages"]

DECIDES: list[tuple[str, dict[str, Any]]] = [
    ("bootstrap", {"seed": 1}),
    ("bootstrap", {"source": {"format": "word_problems", "limit": 4}}),
    ("bootstrap", {"engine": {"model": "embedded:base"}}),
    ("bootstrap", {"export": {"max_rows_per_problem": 1}}),
    ("bootstrap", {"sampling": {"solve": {"temperature": 0.1}}}),
    ("dataset", {"export": {"backward_check": True}}),
    ("generator", {"seed": 1}),
    ("generator", {"stages": {"again": STAGES["generator"]}}),
    ("generator", {"stages": {**STAGES, "generator": {**STAGES["generator"], "epochs": 1}}}),
    ("test", {"num_samples": 17}),
    ("test", {"sampling": {"temperature": 0.7}}),
    ("test", {"greedy": False}),
    ("test", {"verifier": {"model": "embedded:verifier"}}),
    ("test", {"engine": {"model": "embedded:teacher"}}),
]
DECIDES_NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("bootstrap", {"execution": {"batch_size": 1}}),
    ("bootstrap", {"ray": {"num_cpus": 2}}),
    ("bootstrap", {"seed": 0}),
    ("bootstrap", {"engine": {"num_replicas": 4, "max_num_seqs": 8}}),
    ("bootstrap", {"fork": True}),
    ("bootstrap", {"retry_failed": True}),
    ("generator", {"trainers": {"num_workers": 2}}),
    ("generator", {"trackers": ["mlflow"]}),
    ("generator", {"ray": {"address": "ray://head:10001"}}),
    ("test", {"execution": {"rows_in_flight": 1}}),
    ("test", {"engine": {"model": MODEL, "accelerator_type": "L4"}}),
    ("test", {"num_samples": 16}),
    ("test", {"sampling": {"temperature": 0.8}}),
    ("test", {"sampling": {"max_tokens": 1024}}),
]
HELD_OUT: dict[str, Any] = {"problems": {"format": "word_problems", "split": "validation", "limit": 3}}
GROWS: list[dict[str, Any]] = [
    {"num_samples": 64},
    {"problems": {**PROBLEMS, "limit": 9}},
    {"verifier": {"model": "embedded:verifier"}},
    {"verifier_prompt": "other"},
    {"greedy": False},
]
GROWS_NOT: list[dict[str, Any]] = [
    {"seed": 1},
    {"problems": {**PROBLEMS, "split": "validation"}},
    {"engine": {"model": "embedded:teacher"}},
    {"sampling": {"temperature": 1.0}},
    {"prompt_set": "metamath"},
]


def inputs(folder: Path, name: str, hashes: dict[str, str] = HASHES, **changes: Any) -> Inputs:  # noqa: ANN401
    config = loop_config(folder, steps=with_step(name, **changes))
    return inputs_of(unfold(config)[name], hashes, Path(config.run_directory))


@pytest.mark.parametrize(("name", "changes"), DECIDES)
def test_what_decides_the_result_changes_the_hash(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    assert inputs(tmp_path, name, **changes).hash != inputs(tmp_path, name).hash


@pytest.mark.parametrize(("name", "changes"), DECIDES_NOTHING)
def test_where_and_how_fast_it_runs_does_not(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    assert inputs(tmp_path, name, **changes).hash == inputs(tmp_path, name).hash


@given(
    seeds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    limits=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    batches=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_the_hash_changes_exactly_with_what_decides(
    seeds: tuple[int, int], limits: tuple[int, int], batches: tuple[int, int]
) -> None:
    here, there = (
        inputs(
            Path("runs"),
            "bootstrap",
            seed=seed,
            source={"format": "word_problems", "limit": limit},
            execution={"batch_size": batch},
        )
        for seed, limit, batch in zip(seeds, limits, batches, strict=True)
    )
    is_same = seeds[0] == seeds[1] and limits[0] == limits[1]
    assert (here.hash == there.hash) == is_same


def test_of_what_is_held_out_decides_what_is_measured_and_not_how(tmp_path: Path) -> None:
    def hash_of(**held_out: Any) -> str:  # noqa: ANN401
        return inputs(tmp_path, "generator", held_out={**HELD_OUT, **held_out}).hash

    assert hash_of(batch_size=8) == hash_of()
    assert len({hash_of(), hash_of(before_training=False), hash_of(max_tokens=16)}) == 3


def test_the_order_of_stages_counts(tmp_path: Path) -> None:
    stage = STAGES["generator"]
    here = inputs(tmp_path, "generator", stages={"a": stage, "b": stage})
    there = inputs(tmp_path, "generator", stages={"b": stage, "a": stage})
    assert here.hash != there.hash


def test_a_loop_that_was_moved_has_the_same_inputs(tmp_path: Path) -> None:
    for name in STEPS:
        assert inputs(tmp_path / "here", name).hash == inputs(tmp_path / "there", name).hash


@pytest.mark.parametrize(("changed", "changes"), [("dataset", True), ("bootstrap", True), ("test", False)])
def test_the_steps_it_is_made_from_count_and_no_others(changed: str, changes: bool, tmp_path: Path) -> None:
    other = inputs(tmp_path, "generator", hashes={**HASHES, changed: "1" * 24})
    assert (other.hash != inputs(tmp_path, "generator").hash) is changes


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("bootstrap", {"source": {"path": "{}/rows.jsonl"}}),
        ("bootstrap", {"source": {"path": "{}"}}),
        ("bootstrap", {"prompt_set": "{}/rows.jsonl"}),
        ("dataset", {"export": {"decontaminate_against": [{"path": "{}/rows.jsonl"}]}}),
        ("generator", {"stages": {"generator": {"solutions": {"rows": "{}/rows.jsonl"}}}}),
        ("test", {"problems": {"path": "{}/rows.jsonl"}}),
    ],
)
def test_a_changed_file_changes_the_hash(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "data" / "rows.jsonl"
    file.parent.mkdir()
    file.write_text("one", encoding="utf-8")
    changes = _named(changes, str(file.parent))
    before = inputs(tmp_path, name, **changes)
    file.write_text("two", encoding="utf-8")
    assert inputs(tmp_path, name, **changes).hash != before.hash
    file.write_text("one", encoding="utf-8")
    assert inputs(tmp_path, name, **changes).hash == before.hash


def _named(value: Any, folder: str) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _named(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, folder) for item in value]
    return value.format(folder) if isinstance(value, str) else value


def test_another_version_of_the_package_changes_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = inputs(tmp_path, "dataset").hash
    monkeypatch.setattr("metamath_ray.loop.inputs.version", lambda _: "99.0")
    assert inputs(tmp_path, "dataset").hash != before


def test_an_empty_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = inputs(tmp_path, "generator", model="")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    assert inputs(tmp_path, "generator", model="").hash == before.hash


def test_changed_weights_change_the_hash(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"1")
    before = inputs(tmp_path, "generator", model=str(model))
    (model / "model.safetensors").write_bytes(b"2")
    assert inputs(tmp_path, "generator", model=str(model)).hash != before.hash


def test_of_a_foreign_run_its_results_count_and_its_logs_do_not(tmp_path: Path) -> None:
    run = tmp_path / "other_run"
    (run / "outcomes").mkdir(parents=True)
    (run / "manifest.json").write_text("{}", encoding="utf-8")
    stages = {"generator": {"solutions": {"rows": str(run)}}}
    before = inputs(tmp_path, "generator", stages=stages)
    (run / "driver.log").write_text("said", encoding="utf-8")
    assert inputs(tmp_path, "generator", stages=stages).hash == before.hash
    (run / "outcomes" / "a.parquet").write_bytes(b"rows")
    assert inputs(tmp_path, "generator", stages=stages).hash != before.hash


def test_a_path_into_the_loops_folder_has_to_be_a_reference(tmp_path: Path) -> None:
    stages = {"generator": {"solutions": {"rows": str(tmp_path / "loop" / "bootstrap")}}}
    with pytest.raises(ConfigError, match=r'generator: stages.generator.solutions.rows .* name its step: "@step/path"'):
        inputs(tmp_path, "generator", stages=stages)


@pytest.mark.parametrize("changes", GROWS)
def test_a_table_of_samples_grows_with_what_may_grow(changes: dict[str, Any], tmp_path: Path) -> None:
    assert inputs(tmp_path, "test", **changes).can_grow_from(inputs(tmp_path, "test").content)


@pytest.mark.parametrize("changes", GROWS_NOT)
def test_a_table_of_other_samples_does_not_grow(changes: dict[str, Any], tmp_path: Path) -> None:
    assert not inputs(tmp_path, "test", **changes).can_grow_from(inputs(tmp_path, "test").content)


def test_a_table_grows_with_appended_problems_and_not_with_another_model(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("one", encoding="utf-8")
    before = inputs(tmp_path, "test", problems={"path": str(rows)})
    rows.write_text("one\ntwo", encoding="utf-8")
    after = inputs(tmp_path, "test", problems={"path": str(rows)})
    assert after.hash != before.hash
    assert after.can_grow_from(before.content)
    retrained = inputs(tmp_path, "test", hashes={**HASHES, "generator": "1" * 24}, problems={"path": str(rows)})
    assert not retrained.can_grow_from(before.content)


def test_a_retrained_verifier_scores_the_same_samples(tmp_path: Path) -> None:
    judge = {**STEPS["generator"], "seed": 3}
    steps = {
        **{name: STEPS[name] for name in ("bootstrap", "dataset", "generator")},
        "judge": judge,
        "test": {**STEPS["test"], "verifier": {"model": "@judge/generator/model"}},
    }
    config = loop_config(tmp_path, steps=steps)
    step, root = unfold(config)["test"], Path(config.run_directory)
    before = inputs_of(step, {**HASHES, "judge": "0"}, root)
    after = inputs_of(step, {**HASHES, "judge": "1"}, root)
    assert after.hash != before.hash
    assert after.can_grow_from(before.content)


@pytest.mark.parametrize(
    ("changed", "changes"), [("round_1/test", True), ("round_2/test", True), ("round_3/test", False)]
)
def test_every_round_so_far_counts_and_no_later_one(changed: str, changes: bool, tmp_path: Path) -> None:
    config = loop_config(tmp_path, steps=JUDGED, rounds=3)
    steps = unfold(config)
    hashes = dict.fromkeys(steps, "0" * 24)
    before, after = (
        inputs_of(steps["round_2/verifier"], found, Path(config.run_directory))
        for found in (hashes, {**hashes, changed: "1" * 24})
    )
    assert (after.hash != before.hash) is changes


def test_of_one_round_all_rounds_are_that_one(tmp_path: Path) -> None:
    stages = {"verifier": {"samples": {"path": "@test/samples.parquet"}}}
    alone = {**JUDGED, "verifier": {**JUDGED["verifier"], "stages": stages}}
    root = tmp_path / "loop"
    here, there = (unfold(loop_config(tmp_path, steps=steps))["verifier"] for steps in (JUDGED, alone))
    assert inputs_of(here, HASHES, root) == inputs_of(there, HASHES, root)


def test_each_of_several_files_counts_and_none_lies_in_the_loops_folder(tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_bytes(b"one")
    paths = ["@test/samples.parquet", str(tmp_path / "b.parquet")]

    def found(*more: str) -> Inputs:
        stages = {"verifier": {"samples": {"path": [*paths, *more]}}}
        config = loop_config(tmp_path, steps={**JUDGED, "verifier": {**JUDGED["verifier"], "stages": stages}})
        return inputs_of(unfold(config)["verifier"], HASHES, Path(config.run_directory))

    before = found()
    (tmp_path / "b.parquet").write_bytes(b"two")
    assert found().hash != before.hash
    with pytest.raises(ConfigError, match=r"verifier: stages.verifier.samples.path.2 .* name its step"):
        found(str(tmp_path / "loop" / "test" / "samples.parquet"))
