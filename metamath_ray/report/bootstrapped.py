"""The section about a bootstrapped data set."""

from metamath_ray.report.data_quality import AugmentationQuality, DataQuality
from metamath_ray.report.document import Block, Cell, Definitions, Paragraph, Plots, Section, Table, cells
from metamath_ray.report.plots.bootstrapped import acceptance, histogram
from metamath_ray.report.wording import MISSING, augmentation_name, number, percent, plural
from metamath_ray.statistics import Rate

_MEANINGS = (
    ("duplicates", "Accepted items whose question and solution repeat an earlier row."),
    (
        "new numbers",
        "Share of the numbers in a row's question that its seed question does not state: 0 where all are reused.",
    ),
    (
        "diversity gain",
        "(1/M) Σ min ‖f(x) − f(y)‖² over the M questions x of the rows, the minimum over the seed questions y "
        "(2309.12284, section 4.3). It depends on the embedding f: compare figures of one f alone.",
    ),
)


def data_quality_section(quality: DataQuality | None) -> Section | None:
    """Return the section; None where no data set was given."""
    if quality is None:
        return None
    counts = f"{plural(quality.num_rows, 'row')} of {plural(quality.num_seeds, 'seed question')}"
    drawn = [acceptance(quality), *map(histogram, quality.histograms)]
    plots = tuple(plot for plot in drawn if plot)
    blocks: list[Block] = [
        Paragraph(text=f"{counts}. Embedding f: {quality.embedding}."),
        _table(quality),
        Definitions(entries=_MEANINGS),
    ]
    blocks.append(Plots(plots=plots) if plots else Paragraph(text="Nothing is drawn: no item is finished."))
    return Section(title="Data quality", blocks=tuple(blocks))


def _table(quality: DataQuality) -> Table:
    return Table(
        caption="The bootstrapped data set, by augmentation",
        header=(
            "augmentation",
            "planned",
            "accepted",
            "of finished, %",
            "rows",
            "duplicates",
            "new numbers",
            "diversity gain",
        ),
        rows=(*map(_row, quality.by_augmentation), _total(quality)),
    )


def _row(one: AugmentationQuality) -> tuple[Cell, ...]:
    return cells(
        augmentation_name(one.augmentation),
        f"{one.num_planned:,}",
        f"{one.acceptance.num_hits:,}" if one.acceptance else MISSING,
        _rate(one.acceptance),
        f"{one.num_rows:,}",
        f"{one.num_duplicates:,}",
        MISSING if one.new_numbers is None else percent(one.new_numbers),
        _gain(one.diversity_gain),
    )


def _total(quality: DataQuality) -> tuple[Cell, ...]:
    parts = quality.by_augmentation
    return cells(
        "all",
        f"{sum(one.num_planned for one in parts):,}",
        f"{sum(one.acceptance.num_hits for one in parts if one.acceptance):,}",
        MISSING,
        f"{quality.num_rows:,}",
        f"{sum(one.num_duplicates for one in parts):,}",
        MISSING,
        _gain(quality.diversity_gain),
    )


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return MISSING
    return f"{number(100 * rate.rate)} [{number(100 * rate.low)}, {number(100 * rate.high)}]"


def _gain(gain: float | None) -> str:
    return MISSING if gain is None else number(gain, 3)
