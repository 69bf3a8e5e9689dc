"""Which evaluated problems stand in training rows, which rows were looked through, and where none were known."""

from collections.abc import Iterator, Mapping, Sequence

from metamath_ray.evaluation.results import Results, TrainingRows
from metamath_ray.report.document import Block, Paragraph, Section
from metamath_ray.report.tables import contamination_table
from metamath_ray.report.wording import listed

_NOT_KNOWN = "No training rows were given or found, so nothing was checked."


def contamination_section(results: Results) -> Section:
    """Return the section "Contamination"."""
    table = contamination_table(results)
    told = [Paragraph(text=text) for text in _told(results.training_rows)]
    blocks: list[Block] = [*([table] if table else [Paragraph(text=_NOT_KNOWN)]), *told]
    return Section(title="Contamination", blocks=tuple(blocks))


def _told(rows: Mapping[str, TrainingRows]) -> Iterator[str]:
    """Yield what was looked through for whom, what could not be, and, where others have rows, who has none."""
    for paths, names in _together({name: one.looked_through for name, one in rows.items()}):
        yield f"Looked through for {listed(names)}: {listed(paths)}."
    for paths, names in _together({name: one.left_out for name, one in rows.items()}):
        yield (
            f"Not looked through: {listed(paths)}, named by the model of {listed(names)}, but not here or with columns "
            "of other names."
        )
    unknown = [name for name, one in rows.items() if not one.looked_through]
    if unknown and len(unknown) < len(rows):
        yield f"No training rows are known of {listed(unknown)}."


def _together(paths: Mapping[str, Sequence[str]]) -> list[tuple[Sequence[str], list[str]]]:
    """Return the evaluations that share their paths, those without any left out."""
    found = dict.fromkeys(filter(None, paths.values()))
    return [(some, [name for name in paths if paths[name] == some]) for some in found]
