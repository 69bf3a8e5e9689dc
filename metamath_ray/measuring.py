"""Tables of samples → `results.json` → the report; without Ray and without a model."""

from dataclasses import replace

from metamath_ray.config import EvaluateConfig
from metamath_ray.evaluation import (
    Precision,
    Results,
    evaluate,
    from_json,
    open_sample_set,
    read_batches,
    to_json,
)
from metamath_ray.export.quality import measure_quality
from metamath_ray.report.choosing import SampleChooser, choose_samples
from metamath_ray.report.samples import ShownSample
from metamath_ray.report.write import write_report
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.manifest import hardware, now, versions

RESULTS_FILE = "results.json"

Shown = dict[str, list[ShownSample]]
"""Name of an evaluation → samples to browse."""


def evaluate_tables(config: EvaluateConfig) -> tuple[Results, Shown]:
    """Compute every figure of the tables that a configuration names, and keep them in `results.json`.

    Returns:
        The figures, and samples for the report: a table is read, and another tool's completions graded, once for both.

    Raises:
        UserError: A table is missing or malformed.
    """
    sets = {name: open_sample_set(samples) for name, samples in config.models.items()}
    choosers = {name: SampleChooser(num_problems=config.num_shown_problems) for name in sets}
    results = evaluate(
        {name: replace(tables, samples=choosers[name].passing(tables.samples)) for name, tables in sets.items()},
        training_rows=config.training_rows,
        environment={"time": now(), "versions": versions(), "hardware": hardware()},
        precision=Precision(num_orderings=config.num_orderings, num_resamples=config.num_resamples, seed=config.seed),
    )
    RunDirectory(config.output).write_bytes(to_json(results).encode(), RESULTS_FILE)
    return results, {name: chooser.chosen() for name, chooser in choosers.items()}


def read_results(config: EvaluateConfig) -> Results:
    """Read what an evaluation has found.

    Raises:
        UserError: There is no evaluation in the folder, or it is damaged.
    """
    folder = RunDirectory(config.output)
    return from_json(folder.read_text(RESULTS_FILE), folder.path(RESULTS_FILE))


def read_shown(config: EvaluateConfig) -> Shown:
    """Read samples for the report of an earlier evaluation; of another tool's, only these are graded.

    Raises:
        UserError: A table is missing or malformed.
    """
    limit = config.num_shown_problems
    return {
        name: choose_samples(read_batches(samples.path, samples, num_problems=limit), num_problems=limit)
        for name, samples in config.models.items()
    }


def report(config: EvaluateConfig, results: Results, shown: Shown) -> str:
    """Write the report of an evaluation; return where its page lies.

    Raises:
        UserError: The folder cannot be written, or the data set of `bootstrapped` cannot be read.
    """
    quality = measure_quality(RunDirectory(config.bootstrapped)) if config.bootstrapped else None
    return write_report(results, RunDirectory(config.output), title=config.title, samples=shown, quality=quality)
