"""What the terminal shows: progress, tables, rows. Plain lines where the output is not a terminal."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from metamath_ray.distributed.items import BlockCounts
from metamath_ray.distributed.trial import Estimate, PreviewRow
from metamath_ray.export import ExportSummary, MetaMathQARow
from metamath_ray.storage import RunSummary
from metamath_ray.types import Augmentation

PLAIN_LINE_EVERY_SECONDS = 10.0
DASH = "–"


@contextmanager
def quiet(run_directory: str | None) -> Iterator[Console]:
    """Send what libraries print, from Python or not, to a log; yield a console on the real terminal.

    Ray and vLLM write to the process's standard streams from C++ and from threads, so the streams themselves are
    turned, not Python's names for them. The log ends up in the run's `logs/driver.log`, if there is a run by then: a
    start that fails on bad input leaves nothing.
    """
    _flush()
    streams = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as sink, os.fdopen(os.dup(1), "w", encoding="utf-8") as screen:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        try:
            yield Console(file=screen, highlight=False)
        finally:
            _flush()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            sink.seek(0)
            _keep(sink.read(), run_directory)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _keep(said: bytes, run_directory: str | None) -> None:
    if run_directory is None or not Path(run_directory, "manifest.json").is_file():
        return
    with suppress(OSError):
        log = Path(run_directory, "logs", "driver.log")
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as file:
            file.write(said)


class TerminalObserver:
    """Shows stages and progress; a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: float | None = None
        self._num_before = 0
        self._last_line = 0.0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, details="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        """Show that a stage begins."""
        self._progress.update(self._task, description=name, total=None, completed=0, details="")
        if not self._console.is_terminal:
            self._console.print(f"{name} …")

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Show how far the items are."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._num_before = now, counts.num_items
        rate = (counts.num_items - self._num_before) / max(now - self._began, 1e-9)
        details = f"{rate:.1f} items/s · {counts.num_accepted:,} accepted"
        self._progress.update(
            self._task, description="bootstrapping", total=total, completed=counts.num_items, details=details
        )
        is_due = now - self._last_line >= PLAIN_LINE_EVERY_SECONDS or counts.num_items == total
        if not self._console.is_terminal and is_due and counts.num_items > self._num_before:
            left = f"{(total - counts.num_items) / rate:.0f} s left" if rate else ""
            self._console.print(f"{counts.num_items:,}/{total:,} items · {details} · {left}")
            self._last_line = now


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column == "why not" else "right")
    return table


def run_table(summary: RunSummary, *, seconds: float | None) -> Table:
    """Tabulate a run by augmentation."""
    table = _table(
        "Bootstrap", "", "planned", "finished", "accepted", "rejected", "failed", "tokens", "tok/s", "why not"
    )
    for kind, counts in summary.by_augmentation.items():
        if not counts.num_planned:
            continue
        share = f" ({counts.num_accepted / counts.num_finished:.0%})" if counts.num_finished else ""
        table.add_row(
            kind.value,
            f"{counts.num_planned:,}",
            f"{counts.num_finished:,}",
            f"{counts.num_accepted:,}{share}",
            f"{counts.num_rejected:,}",
            f"{counts.num_failed:,}",
            f"{counts.num_tokens:,}",
            f"{counts.num_tokens / seconds:,.0f}" if seconds else DASH,
            ", ".join(f"{reason} {count:,}" for reason, count in counts.reasons.most_common()),
        )
    return table


def export_table(summary: ExportSummary) -> Table:
    """Tabulate an export by augmentation."""
    table = _table("Data set", "", "accepted", "rows", "duplicates", "tokens a solution", "why not")
    for kind, counts in summary.by_augmentation.items():
        left_out = {reason: count for reason, count in counts.rejected.items() if reason in _EXPORT_REASONS}
        table.add_row(
            kind.value,
            f"{counts.num_accepted:,}",
            f"{counts.num_exported:,}",
            f"{counts.duplicate_rate:.1%}",
            f"{counts.mean_tokens:.0f}",
            ", ".join(f"{reason} {count:,}" for reason, count in left_out.items()),
        )
    return table


_EXPORT_REASONS = ("duplicate", "over_cap", "contaminated", "backward_check", "held_out")


def row_panel(row: MetaMathQARow) -> Panel:
    """Show one row of the data set."""
    body = Text()
    body.append(row.query + "\n\n", style="bold")
    body.append(row.response)
    return Panel(body, title=row.type, title_align="left")


def estimate_table(estimate: Estimate) -> Table:
    """Tabulate what a run will take."""
    table = _table("Plan", "", "items", "sampled", "requests", "prompt tokens", "completion tokens")
    for kind, counts in estimate.by_augmentation.items():
        measured = (counts.num_requests, counts.num_prompt_tokens, counts.num_completion_tokens)
        table.add_row(
            kind.value,
            f"{counts.num_items:,}",
            f"{counts.num_sampled:,}",
            *(f"{value:,.0f}" if counts.num_sampled else DASH for value in measured),
        )
    return table


def estimate_lines(estimate: Estimate) -> list[str]:
    """Say in words what a run will take."""
    lines = []
    if estimate.seconds is not None:
        hours = estimate.seconds / 3600
        lines.append(
            f"about {hours:,.2f} hours at the sample's {estimate.tokens_per_second:,.0f} completion tokens/s "
            "(a full run is faster: the sample does not fill the engine)"
        )
        if estimate.num_gpus:
            lines.append(f"about {estimate.gpu_hours:,.1f} GPU-hours on {estimate.num_gpus} GPUs")
    if estimate.money is not None and estimate.seconds is not None:
        lines.append(f"about {estimate.money:,.2f} at {estimate.price} a million tokens")
    return lines


def preview_panel(number: int, row: PreviewRow) -> Panel:
    """Show one item through the whole pipe."""
    outcome = row.outcome
    texts = [completion for completion in (outcome.rewrite, outcome.solution) if completion]
    body = Text()
    body.append(f"seed question\n{outcome.item.problem.question}\n", style="dim")
    for prompt, completion in zip(row.prompts, texts, strict=False):
        body.append("\nprompt\n", style="bold")
        body.append(prompt + "\n")
        body.append(
            f"completion ({completion.num_completion_tokens} tokens, {completion.finish_reason})\n", style="bold"
        )
        body.append(completion.text.strip() + "\n")
    style = "green" if outcome.status == "accepted" else "red"
    body.append(f"\n{outcome.status} {outcome.reason}{': ' + outcome.error if outcome.error else ''}", style=style)
    body.append(f"  expected {outcome.expected_answer or DASH}, found {outcome.extracted_answer or DASH}")
    return Panel(body, title=f"{number}. {Augmentation(outcome.item.augmentation).value}", title_align="left")
