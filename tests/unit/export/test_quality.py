import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamath_ray.config import ExportConfig
from metamath_ray.errors import DataError, RunDirectoryError
from metamath_ray.export import run_export
from metamath_ray.export.quality import histogram, measure_quality, num_equations, share_of_new_numbers
from metamath_ray.export.run_export import export_run
from metamath_ray.export.summary import ExportSummary
from metamath_ray.export.writer import write_export
from metamath_ray.storage import Manifest, RunDirectory, item_to_row, outcome_to_row
from metamath_ray.types import Augmentation, Outcome, OutcomeStatus

MakeOutcome = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, make_outcome: MakeOutcome) -> RunDirectory:
    """Return an exported run: two rows and a duplicate of AnsAug, one of two rephrasings, FOBAR planned alone."""
    rephrasing = Augmentation.REPHRASING
    outcomes = [
        make_outcome(0),
        make_outcome(1),
        make_outcome(2, text="way 1: 4*12 = 48"),
        make_outcome(3, augmentation=rephrasing, query="In 4 trays, 12 rolls each; how many, given 30 cents a roll?"),
        make_outcome(4, augmentation=rephrasing, status=OutcomeStatus.REJECTED, reason="wrong_answer", query="What?"),
    ]
    waiting = make_outcome(5, augmentation=Augmentation.FOBAR)
    run = RunDirectory(str(tmp_path))
    run.write_plan(item_to_row(one.item, place) for place, one in enumerate([*outcomes, waiting]))
    rows = [outcome_to_row(one, position=n, prompt_set_hash="", seconds=0.1) for n, one in enumerate(outcomes)]
    run.write_outcomes(rows, "a")
    run.write_manifest(Manifest(content={}, configuration={}))
    return run


@pytest.fixture
def exported(run: RunDirectory) -> RunDirectory:
    export_run(run, ExportConfig())
    return run


def test_test_questions_that_cannot_be_read_are_told(run: RunDirectory, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"problem": "What is 1 + 1?", "solution": "$\\\\boxed{2}$"}\n{"problem": "Q"}\n', encoding="utf-8")
    source = {"format": "math", "path": str(path), "split": "test", "skip_invalid": True}
    summary = export_run(run, ExportConfig.model_validate({"decontaminate_against": [source]}))
    assert ["test.jsonl:2" in said for said in summary.malformed_tests] == [True]
    assert "1 test questions are malformed" in (tmp_path / "dataset" / "README.md").read_text("utf-8")


def test_an_export_keeps_what_a_bootstrap_noted_meanwhile(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_and_note(*given: Any, **settings: Any) -> ExportSummary:  # noqa: ANN401
        manifest = run.read_manifest()
        manifest.stages["bootstrap"] = {"seconds": 12.0}
        run.write_manifest(manifest)
        return write_export(*given, **settings)

    monkeypatch.setattr(run_export, "write_export", write_and_note)
    export_run(run, ExportConfig())
    assert run.read_manifest().stages.keys() == {"bootstrap", "export"}


def test_a_run_is_measured_by_augmentation(exported: RunDirectory) -> None:
    quality = measure_quality(exported)
    answers, rephrased, fobar = quality.by_augmentation
    assert (answers.augmentation, answers.num_planned, answers.num_rows, answers.num_duplicates) == (
        Augmentation.ANSWER_AUGMENTATION,
        3,
        2,
        1,
    )
    assert answers.acceptance
    assert (answers.acceptance.num_hits, answers.acceptance.num) == (3, 3)
    assert answers.new_numbers == 0
    assert answers.diversity_gain == pytest.approx(0, abs=1e-6)
    assert rephrased.acceptance
    assert rephrased.acceptance.rate == 0.5
    assert rephrased.new_numbers == pytest.approx(1 / 3)
    assert rephrased.diversity_gain
    assert quality.diversity_gain == pytest.approx(rephrased.diversity_gain / 3)
    assert (fobar.num_planned, fobar.acceptance, fobar.num_rows, fobar.diversity_gain) == (1, None, 0, None)
    assert (quality.num_rows, quality.num_seeds) == (3, 1)
    assert [sum(one.counts) for one in quality.histograms] == [3, 3, 3]


def test_figures_are_json_without_nan(exported: RunDirectory) -> None:
    told = json.loads(json.dumps(asdict(measure_quality(exported)), allow_nan=False))
    assert told["by_augmentation"][0]["augmentation"] == "answer_augmentation"


def test_another_embedding_measures_other_distances(exported: RunDirectory) -> None:
    quality = measure_quality(
        exported, lambda texts: np.array([[len(text)] for text in texts], dtype=np.float32), embedding="length"
    )
    assert quality.embedding == "length"
    assert quality.by_augmentation[1].diversity_gain == 4


def test_a_run_that_is_not_exported_is_told_to_be(run: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match="no data set; make it with `metamath-ray export"):
        measure_quality(run)


def test_a_bucket_is_refused() -> None:
    with pytest.raises(RunDirectoryError, match="copy the run to this machine"):
        measure_quality(RunDirectory("s3://bucket/run"))


@pytest.mark.parametrize("name", ["metamathqa.parquet", "rejected.jsonl"])
def test_a_damaged_file_is_named(exported: RunDirectory, name: str) -> None:
    assert exported.local_path
    (exported.local_path / "dataset" / name).write_text("{")
    with pytest.raises(DataError, match=rf"{name}.*export the run again"):
        measure_quality(exported)


@pytest.mark.parametrize(
    ("question", "seed", "share"),
    [
        ("Ann has 12 apples and 3 pears.", "Ann has 3 pears and a dozen apples.", 0.0),
        ("Ann has x apples and 3 pears, 15 in all.", "Ann has 12 apples and 3 pears.", 0.5),
        ("Half of 1,000 is kept.", "What is 1/2 of 1000?", 0.0),
        ("What is x?", "What is 2?", None),
    ],
)
def test_new_numbers_are_compared_by_value(question: str, seed: str, share: float | None) -> None:
    assert share_of_new_numbers(question, seed) == share


@pytest.mark.parametrize(
    ("solution", "count"),
    [
        ("16 * 2 = 32\n32 - 11 = 21\nThe answer is: 21", 2),
        ("She has 48/2 = <<48/2=24>>24 clips.\n#### 24", 1),
        ("x = 2 + 3 = 5, so x >= 4, x <= 6 and x != 7", 2),
        ("The answer is 3.", 0),
    ],
)
def test_equations_stand_for_steps(solution: str, count: int) -> None:
    assert num_equations(solution) == count


@given(values=st.lists(st.integers(0, 100_000), max_size=30))
def test_a_histogram_holds_every_value_once(values: list[int]) -> None:
    drawn = histogram("words", values)
    assert sum(drawn.counts) == len(values)
    assert len(drawn.edges) == len(drawn.counts) + 1 <= 21
    for low, high, count in zip(drawn.edges, drawn.edges[1:], drawn.counts, strict=False):
        assert count == sum(low <= value < high for value in values)
