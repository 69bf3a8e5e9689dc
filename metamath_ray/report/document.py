"""What a report consists of, before it is HTML or Markdown: both are written from the same blocks."""

import re
from dataclasses import dataclass
from typing import ClassVar

from metamath_ray.report.samples import ShownSample
from metamath_ray.types import content_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One field of a table; `is_best` marks the best of its column."""

    text: str
    is_best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a header; the first cell of a row is its heading.

    Attributes:
        num_texts: How many of the first columns hold texts; the others are figures.
        note: How to read it.
    """

    kind: ClassVar = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    num_texts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """One paragraph of plain text."""

    kind: ClassVar = "paragraph"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing, in both forms.

    Attributes:
        name: Of its file, without ending; unique in a report.
        title: What is drawn.
        message: What is to be seen, in words.
        svg: An `<svg>` element to stand in a page, in the colour of the page's text.
        png: The same on white, as a file.
    """

    name: str
    title: str
    message: str
    svg: str
    png: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """Drawings that stand side by side where there is room."""

    kind: ClassVar = "plots"
    plots: tuple[Plot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Terms and what they mean."""

    kind: ClassVar = "definitions"
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A long text, shown on demand."""

    kind: ClassVar = "folded"
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Samples to browse: (name of the evaluation, sample)."""

    kind: ClassVar = "samples"
    samples: tuple[tuple[str, ShownSample], ...]


Block = Table | Paragraph | Plots | Definitions | Folded | Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the report with its own heading."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def anchor(self) -> str:
        """Where a link to the section points."""
        return slug(self.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report.

    Attributes:
        date: When the evaluation was made; "" where it does not say.
        summary: What was found, in words.
    """

    title: str
    date: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]

    @property
    def plots(self) -> tuple[Plot, ...]:
        """All drawings, in order."""
        blocks = (block for section in self.sections for block in section.blocks)
        return tuple(plot for block in blocks if isinstance(block, Plots) for plot in block.plots)


def cells(*texts: str) -> tuple[Cell, ...]:
    """Return a row of plain cells."""
    return tuple(Cell(text=text) for text in texts)


def slug(text: str) -> str:
    """Return the text as part of a file name or an anchor: lower-case letters, digits, single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def file_name(kind: str, of: str) -> str:
    """Return a name for the drawing of one kind about one thing; other things get other names."""
    plain = slug(of)
    return f"{kind}-{plain}" if plain == of else "-".join(filter(None, [kind, plain, content_id((of,))[:6]]))
