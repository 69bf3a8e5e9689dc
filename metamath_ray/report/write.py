"""Writing a report into its folder: `index.html`, `report.md`, `plots/*.png`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from metamath_ray.evaluation.results import Results
from metamath_ray.report.data_quality import DataQuality
from metamath_ray.report.document import Document
from metamath_ray.report.html import to_html
from metamath_ray.report.markdown import PLOTS_FOLDER, to_markdown
from metamath_ray.report.samples import ShownSample
from metamath_ray.report.sections import build
from metamath_ray.storage import RunDirectory

PAGE_FILE = "index.html"
MARKDOWN_FILE = "report.md"


def write_report(
    results: Results,
    folder: RunDirectory | Path,
    *,
    title: str,
    samples: Mapping[str, Sequence[ShownSample]] | None = None,
    quality: DataQuality | None = None,
) -> str:
    """Write the report; each file is whole or as it was, the page last.

    Args:
        folder: Created when missing; of an earlier report, what is not written again stays.
        samples: Name of an evaluation → samples to browse; more than a page holds are thinned evenly.
        quality: Of the bootstrapped data set that the models were trained on.

    Returns:
        Where the page lies.

    Raises:
        RunDirectoryError: The folder cannot be written, or the disk is full.
    """
    target = folder if isinstance(folder, RunDirectory) else RunDirectory(str(folder))
    document = build(results, title=title, samples=samples or {}, quality=quality)
    _write(document, target)
    return target.path(PAGE_FILE)


def _write(document: Document, target: RunDirectory) -> None:
    for plot in document.plots:
        target.write_bytes(plot.png, PLOTS_FOLDER, f"{plot.name}.png")
    target.write_bytes(to_markdown(document).encode(), MARKDOWN_FILE)
    target.write_bytes(to_html(document).encode(), PAGE_FILE)
