"""A report as GitHub-flavoured Markdown, with its plots as files beside it."""

import re
from collections.abc import Sequence

from metamath_ray.report.document import (
    Block,
    Cell,
    Definitions,
    Document,
    Folded,
    Paragraph,
    Plot,
    Plots,
    Samples,
    Section,
    Table,
)

PLOTS_FOLDER = "plots"
_SPECIAL = re.compile(r"[\\`*_|~$]|<(?=[A-Za-z/!?])|&(?=#?\w)|\](?=\()|!(?=\[)")
_SPECIAL_IN_BRACKETS = re.compile(rf"{_SPECIAL.pattern}|[\[\]]")


def to_markdown(document: Document) -> str:
    """Return the text of `report.md`."""
    first, *others = document.summary
    statements = "\n".join(f"- {escaped(statement)}" for statement in others)
    head = [f"# {escaped(document.title)}", escaped(document.date), escaped(first), statements]
    parts = [*head, *(_section(section) for section in document.sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str, special: re.Pattern[str] = _SPECIAL) -> str:
    """Return any text as one line that Markdown shows as it is."""
    return special.sub(lambda match: "&lt;" if match[0] == "<" else f"\\{match[0]}", " ".join(text.split()))


def _section(section: Section) -> str:
    return "\n\n".join([f"## {escaped(section.title)}", *filter(None, map(_block, section.blocks))])


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Paragraph(text=text):
            return escaped(text)
        case Plots(plots=plots):
            return "\n\n".join(map(_plot, plots))
        case Definitions(entries=entries):
            return "\n".join(f"- **{escaped(term)}**: {escaped(meaning)}" for term, meaning in entries)
        case Folded(title=title, text=text):
            return f"<details>\n<summary>{escaped(title)}</summary>\n\n{fenced(text)}\n\n</details>"
        case Samples(samples=samples):
            return f"{len(samples)} samples can be read and searched in [index.html](index.html)."


def _plot(plot: Plot) -> str:
    alt = escaped(f"{plot.title}. {plot.message}", _SPECIAL_IN_BRACKETS)
    return f"![{alt}]({PLOTS_FOLDER}/{plot.name}.png)\n\n**{escaped(plot.title)}.** {escaped(plot.message)}"


def _table(table: Table) -> str:
    lines = [
        _line([escaped(name) for name in table.header]),
        _line([":---" if place < table.num_texts else "---:" for place in range(len(table.header))]),
        *(_line([_cell(cell) for cell in row]) for row in table.rows),
    ]
    note = f"\n\n{escaped(table.note)}" if table.note else ""
    return f"**{escaped(table.caption)}**\n\n" + "\n".join(lines) + note


def _line(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


def _cell(cell: Cell) -> str:
    return f"**{escaped(cell.text)}**" if cell.is_best else escaped(cell.text)


def fenced(text: str) -> str:
    """Return a text as a code block whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
