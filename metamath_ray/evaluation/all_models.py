"""Tables of samples in, every figure out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from metamath_ray.errors import ConfigError
from metamath_ray.evaluation.comparisons import compare
from metamath_ray.evaluation.contamination import contamination
from metamath_ray.evaluation.curves import Precision
from metamath_ray.evaluation.model_evaluation import SampleSet, evaluate_model
from metamath_ray.evaluation.results import Results, TrainingRows
from metamath_ray.storage.publishing import publishable


def evaluate(
    sets: Mapping[str, SampleSet],
    *,
    training_rows: Sequence[str] = (),
    environment: Mapping[str, Any] | None = None,
    precision: Precision | None = None,
) -> Results:
    """Evaluate models from their tables of samples alone.

    Equal tables and equal precision give equal results, in whatever order the rows stand.

    Args:
        sets: Name → tables; each is compared with the first, and with the one before it.
        training_rows: Files or folders of rows that all models were trained on, looked through for the evaluated
            problems; beside those that a set's own model names.
        environment: Versions, hardware and time, which the results keep beside the precision.

    Raises:
        ConfigError: There is no set.
        DataError: A table is empty or malformed; see `read_problem_samples`.
    """
    if not sets:
        raise ConfigError("nothing to evaluate: name at least one model with its samples")
    precision = precision or Precision()
    measured = [evaluate_model(name, tables, precision) for name, tables in sets.items()]
    questions = {one.evaluation.name: one.questions for one in measured}
    rows = {name: _with(tables.training_rows, training_rows) for name, tables in sets.items()}
    return Results(
        evaluations=tuple(one.evaluation for one in measured),
        comparisons=compare(measured, precision),
        contamination=contamination(questions, {name: one.looked_through for name, one in rows.items()}),
        training_rows={name: _publishable(one) for name, one in rows.items()},
        environment={
            **(environment or {}),
            "seed": precision.seed,
            "num_orderings": precision.num_orderings,
            "num_resamples": precision.num_resamples,
        },
    )


def _with(known: TrainingRows, given: Sequence[str]) -> TrainingRows:
    return replace(known, looked_through=tuple(dict.fromkeys((*given, *known.looked_through))))


def _publishable(rows: TrainingRows) -> TrainingRows:
    return TrainingRows(
        looked_through=tuple(str(publishable(path)) for path in rows.looked_through),
        left_out=tuple(str(publishable(path)) for path in rows.left_out),
    )
