from pathlib import Path

from metamath_ray.loop.steps import unfold
from tests.unit.loop.loops import JUDGED, PREVIOUS, STEPS, loop_config


def test_one_round_has_no_folder_of_its_own(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path))
    assert list(steps) == list(STEPS)
    assert steps["test"].folder == tmp_path / "loop" / "test"


def test_each_of_several_rounds_has_a_folder(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path, rounds=2))
    assert list(steps) == [f"round_{number}/{name}" for number in (1, 2) for name in STEPS]
    assert steps["round_2/test"].folder == tmp_path / "loop" / "round_2" / "test"
    model = steps["round_2/test"].resolved()["engine"]["model"]
    assert model == str(tmp_path / "loop/round_2/generator/generator/model")


def test_later_rounds_are_made_from_the_round_before(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path, rounds=3, later_rounds=PREVIOUS))
    assert "engine" not in steps["round_1/bootstrap"].resolved()
    for number in (2, 3):
        step = steps[f"round_{number}/bootstrap"]
        assert step.resolved()["engine"] == {
            "model": str(tmp_path / f"loop/round_{number - 1}/generator/generator/model")
        }
        assert step.resolved()["source"] == STEPS["bootstrap"]["source"]
        assert step.made_from == (f"round_{number - 1}/generator",)


def test_an_export_works_in_the_folder_of_its_bootstrap(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path))
    assert steps["dataset"].folder == steps["bootstrap"].folder
    assert steps["dataset"].home == "bootstrap"
    assert steps["dataset"].made_from == ("bootstrap",)


def test_who_reads_a_folder_is_made_from_all_who_wrote_into_it(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path))
    assert steps["generator"].made_from == ("bootstrap", "dataset")


def test_a_reference_to_an_export_is_its_bootstraps_folder(tmp_path: Path) -> None:
    generator = {**STEPS["generator"], "stages": {"generator": {"solutions": {"rows": "@dataset/dataset"}}}}
    step = unfold(loop_config(tmp_path, steps={**STEPS, "generator": generator}))["generator"]
    rows = step.resolved()["stages"]["generator"]["solutions"]["rows"]
    assert rows == str(tmp_path / "loop/bootstrap/dataset")
    assert step.made_from == ("bootstrap", "dataset")


def test_paths_do_not_depend_on_where_one_stands(tmp_path: Path) -> None:
    step = unfold(loop_config(tmp_path, run_directory="runs/x"))["test"]
    assert Path(step.resolved()["engine"]["model"]).is_absolute()
    assert Path(step.resolved()["run_directory"]).is_absolute()


def test_all_rounds_so_far_are_a_list_with_the_oldest_first(tmp_path: Path) -> None:
    steps = unfold(loop_config(tmp_path, steps=JUDGED, rounds=3))
    for number in (1, 2, 3):
        verifier = steps[f"round_{number}/verifier"]
        assert verifier.resolved()["stages"]["verifier"]["samples"]["path"] == [
            str(tmp_path / f"loop/round_{one}/test/samples.parquet") for one in range(1, number + 1)
        ]
        assert verifier.made_from == tuple(f"round_{one}/test" for one in range(1, number + 1))


def test_of_one_round_all_rounds_are_a_list_of_one(tmp_path: Path) -> None:
    verifier = unfold(loop_config(tmp_path, steps=JUDGED))["verifier"]
    assert verifier.resolved()["stages"]["verifier"]["samples"]["path"] == [str(tmp_path / "loop/test/samples.parquet")]
    assert verifier.made_from == ("test",)


def test_of_all_rounds_each_is_made_from_all_who_wrote_into_its_folder(tmp_path: Path) -> None:
    evaluation = {
        "command": "evaluate",
        "models": {"one": {"path": "@test"}},
        "training_rows": ["rows.jsonl", "@rounds/dataset/dataset/metamathqa.jsonl"],
    }
    step = unfold(loop_config(tmp_path, steps={**STEPS, "evaluation": evaluation}, rounds=2))["round_2/evaluation"]
    assert step.resolved()["training_rows"] == [
        "rows.jsonl",
        *(str(tmp_path / f"loop/round_{number}/bootstrap/dataset/metamathqa.jsonl") for number in (1, 2)),
    ]
    assert set(step.made_from) == {
        "round_2/test",
        *(f"round_{number}/{name}" for number in (1, 2) for name in ("bootstrap", "dataset")),
    }
