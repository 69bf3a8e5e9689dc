"""What `make demo-full` writes: each table at its place, and the sentences around it as they were."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
ARM = {"mean": 0.288, "low": 0.259, "high": 0.317, "by_seed": [0.287, 0.279, 0.298]}


@pytest.fixture
def results_page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("results_page")


def test_a_table_takes_the_place_of_the_one_before_and_nothing_else(results_page: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text("Why.\n\n<!-- one -->\nold\n<!-- end -->\n\nSo.\n\n<!-- two -->\nkept\n<!-- end -->\n")
    results_page.write(page, {"one": r"| new \1 |"})
    assert page.read_text() == (
        "Why.\n\n<!-- one -->\n| new \\1 |\n<!-- end -->\n\nSo.\n\n<!-- two -->\nkept\n<!-- end -->\n"
    )


@pytest.mark.parametrize("text", ["no place", "<!-- one -->\n<!-- end -->\n<!-- one -->\n<!-- end -->\n"])
def test_a_page_with_no_place_or_two_is_left_as_it_is(results_page: ModuleType, tmp_path: Path, text: str) -> None:
    page = tmp_path / "results.md"
    page.write_text(text)
    with pytest.raises(SystemExit, match="one is wanted"):
        results_page.write(page, {"one": "table"})
    assert page.read_text() == text


def test_an_absent_page_is_named(results_page: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"absent\.md: No such file"):
        results_page.write(tmp_path / "absent.md", {"one": "table"})


def test_arms_show_share_interval_gain_and_each_seed(results_page: ModuleType) -> None:
    table = results_page.accuracies({"reference": ARM, "ours": {**ARM, "gain": [0.045, 0.019, -0.071]}}).splitlines()
    assert table[2] == "| reference | 28.8 [25.9, 31.7] |  | 28.7, 27.9, 29.8 |"
    assert table[3] == "| ours | 28.8 [25.9, 31.7] | 4.5 [1.9, -7.1] | 28.7, 27.9, 29.8 |"


def test_kinds_of_problems_are_columns(results_page: ModuleType) -> None:
    table = results_page.side_by_side({"forward": {"all": ARM}, "backward": {"all": {**ARM, "mean": 0.05}}})
    assert table.splitlines()[0] == "| | forward, % | backward, % |"
    assert table.splitlines()[2] == "| all | 28.8 [25.9, 31.7] | 5.0 [25.9, 31.7] |"


def test_verifiers_show_both_aucs(results_page: ModuleType) -> None:
    found = {"auc": 0.777, "within_problem_auc": 0.565, "expected_calibration_error": 0.04, "num_samples": 3600}
    table = results_page.verifiers({"pairwise": {**found, "num_pairs": 2170}})
    assert table.splitlines()[2] == "| pairwise | 0.777 | 0.565 | 0.040 | 3,600 | 2,170 |"


def test_our_page_has_a_place_for_every_table_that_is_written(results_page: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text((ROOT / "docs" / "results.md").read_text())
    results_page.write(page, dict.fromkeys(("solutions", "augmentations", "verifier", "sequential"), "table"))
