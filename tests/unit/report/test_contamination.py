from metamath_ray.evaluation.results import Results, TrainingRows
from metamath_ray.report.contamination import contamination_section
from metamath_ray.report.document import Paragraph, Table

COUNTS = {"exact": 1, "template": 2, "ngram": 3}


def told(rows: dict[str, TrainingRows], **counts: dict[str, int]) -> tuple[int, list[str]]:
    """Return the number of the table's rows, and what is said below it."""
    results = Results(evaluations=(), comparisons=(), contamination=counts, environment={}, training_rows=rows)
    blocks = contamination_section(results).blocks
    tables = [block for block in blocks if isinstance(block, Table)]
    return sum(len(table.rows) for table in tables), [block.text for block in blocks if isinstance(block, Paragraph)]


def test_the_rows_that_were_looked_through_are_named_once_for_all_that_share_them() -> None:
    shared = TrainingRows(looked_through=("a.jsonl", "b.jsonl"))
    rows = {"base": shared, "tuned": shared, "other": TrainingRows(looked_through=("c.jsonl",))}
    assert told(rows, base=COUNTS, tuned=COUNTS, other=COUNTS) == (
        3,
        ["Looked through for base and tuned: a.jsonl and b.jsonl.", "Looked through for other: c.jsonl."],
    )


def test_whose_rows_are_not_known_is_said() -> None:
    rows = {"base": TrainingRows(), "tuned": TrainingRows(looked_through=("a.jsonl",))}
    assert told(rows, tuned=COUNTS) == (
        1,
        ["Looked through for tuned: a.jsonl.", "No training rows are known of base."],
    )


def test_rows_that_are_not_here_are_named() -> None:
    assert told({"tuned": TrainingRows(left_out=("gone.jsonl",))}) == (
        0,
        [
            "No training rows were given or found, so nothing was checked.",
            "Not looked through: gone.jsonl, named by the model of tuned, but not here or with columns of other names.",
        ],
    )


def test_that_nothing_is_known_is_said_once() -> None:
    assert told({"base": TrainingRows(), "tuned": TrainingRows()}) == (
        0,
        ["No training rows were given or found, so nothing was checked."],
    )
