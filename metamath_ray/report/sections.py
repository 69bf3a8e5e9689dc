"""The report's sections in their order, each left with a sentence instead of what has no data."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from metamath_ray.evaluation.results import Evaluation, Results
from metamath_ray.report.bootstrapped import data_quality_section
from metamath_ray.report.contamination import contamination_section
from metamath_ray.report.data_quality import DataQuality
from metamath_ray.report.document import Block, Document, Paragraph, Plot, Plots, Samples, Section, Table, cells
from metamath_ray.report.plots.breakdown import accuracy_by_group
from metamath_ray.report.plots.curves import (
    accuracy_by_samples,
    accuracy_by_samples_spent,
    accuracy_by_training_rows,
    accuracy_limits,
)
from metamath_ray.report.plots.verifier import accuracy_by_calls, accuracy_by_clusters, calibration
from metamath_ray.report.provenance import date_of, provenance_section
from metamath_ray.report.samples import SampleKind, ShownSample, fair_share
from metamath_ray.report.summary import summary
from metamath_ray.report.tables import (
    all_strategies_table,
    comparisons_table,
    group_table,
    kind_name,
    models_table,
    rates_table,
    verifier_table,
)
from metamath_ray.report.wording import listed, plural

MAX_SAMPLES = 200
"""Samples that a page holds; a browser searches them without a wait."""

_BY_MODEL: Mapping[str, tuple[Callable[[Evaluation], Plot | None], str]] = {
    "Accuracy against K": (accuracy_by_clusters, "no scores, or never more than one answer to a problem"),
    "Accuracy against samples spent": (accuracy_by_samples_spent, "adaptive sampling was not replayed"),
    "Accuracy against verifier calls": (accuracy_by_calls, "no strategy asked a verifier at two numbers of samples"),
    "Calibration": (calibration, "no samples are scored by a verifier"),
}
"""What is drawn of each evaluation, and why it may be missing."""

_HOW_TO_READ = {
    "Accuracy against samples": "Expected over orderings of the samples; the bands are 95 % intervals over problems.",
    "Accuracy against K": "All N samples; only the K most frequent answers can be chosen (figure 1 of 2310.10047). The "
    "panel below counts the solutions that the verifier scores. K is to be chosen on validation problems, not here.",
    "Accuracy against samples spent": "Points: sampling ends as soon as the leading answer is likely to stay, one "
    "point a confidence. Lines: the same vote with a fixed number of samples.",
    "Accuracy against verifier calls": "The same strategies at k = 1, 2, 4, … samples, by what they cost. The "
    "horizontal line is the majority vote of all samples, which costs no call.",
    "Calibration": "Samples in bins of their score S; a calibrated score lies on the dashed line. Below, how many "
    "there are.",
}


def build(
    results: Results, *, title: str, samples: Mapping[str, Sequence[ShownSample]], quality: DataQuality | None
) -> Document:
    """Build the whole report."""
    sections = [
        _models(results.evaluations),
        _comparisons(results),
        *_plot_sections(results.evaluations),
        *_part_sections(results.evaluations),
        _rates(results.evaluations),
        contamination_section(results),
        data_quality_section(quality),
        _samples(samples),
        provenance_section(results),
    ]
    return Document(
        title=title,
        date=date_of(results.environment),
        summary=summary(results),
        sections=tuple(section for section in sections if section),
    )


def _models(evaluations: Sequence[Evaluation]) -> Section:
    blocks: list[Block] = [models_table(evaluations), all_strategies_table(evaluations)]
    if table := verifier_table(evaluations):
        blocks.append(table)
    return Section(title="Models", blocks=tuple(blocks))


def _comparisons(results: Results) -> Section:
    if not results.comparisons:
        return _empty("Comparisons", "There is nothing to compare: one evaluation, with one metric.")
    return Section(title="Comparisons", blocks=(comparisons_table(results.comparisons),))


def _empty(title: str, why: str) -> Section:
    return Section(title=title, blocks=(Paragraph(text=why),))


def _plot_sections(evaluations: Sequence[Evaluation]) -> Iterable[Section]:
    limits = accuracy_limits(evaluations)
    by_samples = [(one.name, accuracy_by_samples(one, limits)) for one in evaluations]
    yield _plots("Accuracy against samples", by_samples, "there is only one number of samples")
    for title, (draw, why_not) in _BY_MODEL.items():
        yield _plots(title, [(one.name, draw(one)) for one in evaluations], why_not)
    if plot := accuracy_by_training_rows(evaluations):
        yield Section(title="Accuracy against training rows", blocks=(Plots(plots=(plot,)),))


def _plots(title: str, drawn: Sequence[tuple[str, Plot | None]], why_not: str) -> Section:
    plots = tuple(plot for _, plot in drawn if plot)
    missing = [name for name, plot in drawn if plot is None]
    blocks: list[Block] = [Paragraph(text=_HOW_TO_READ[title]), Plots(plots=plots)] if plots else []
    if missing or not plots:
        blocks.append(Paragraph(text=f"Not drawn{' for ' if missing else ''}{listed(missing)}: {why_not}."))
    return Section(title=title, blocks=tuple(blocks))


def _part_sections(evaluations: Sequence[Evaluation]) -> Iterable[Section]:
    for kind in dict.fromkeys(kind for one in evaluations for kind, groups in one.groups.items() if groups):
        plot = accuracy_by_group(kind, evaluations)
        tables = [group_table(kind, one) for one in evaluations if one.groups.get(kind)]
        blocks: list[Block] = [Plots(plots=(plot,))] if plot else []
        yield Section(title=f"By {kind_name(kind)}", blocks=(*blocks, *tables))


def _rates(evaluations: Sequence[Evaluation]) -> Section:
    return Section(title="Rates", blocks=(rates_table(evaluations),))


def _samples(samples: Mapping[str, Sequence[ShownSample]]) -> Section | None:
    shown = fair_share(samples, MAX_SAMPLES)
    flat = tuple((name, sample) for name, of_model in shown.items() for sample in of_model)
    if not flat:
        return None
    given = sum(map(len, samples.values()))
    counts = Table(
        caption="Samples to browse, by kind",
        header=("model", *SampleKind),
        rows=tuple(
            cells(name, *(str(sum(one.kind is kind for one in of_model)) for kind in SampleKind))
            for name, of_model in shown.items()
        ),
    )
    limit = f"{plural(len(flat), 'sample')} of {given:,}. " if given > len(flat) else ""
    told = Paragraph(
        text=f"{limit}Disagreed: the vote and the verifier chose different answers, or the majority is wrong while "
        "some sample is right. Undecided: the grader could not tell."
    )
    return Section(title="Samples", blocks=(told, counts, Samples(samples=flat)))
