"""What the terminal shows: progress, tables, rows. Plain lines where the output is not a terminal."""

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from metamath_ray.distributed.items import BlockCounts
from metamath_ray.distributed.sample import SampleReport
from metamath_ray.distributed.trial import Estimate, PreviewRow
from metamath_ray.export import ExportSummary, MetaMathQARow
from metamath_ray.export.metamathqa import AUGMENTATION_TAGS
from metamath_ray.storage import KindSummary, RunSummary
from metamath_ray.storage.samples import SAMPLES_FILE
from metamath_ray.training.examples import LeftOut
from metamath_ray.training.report import FinetuneReport
from metamath_ray.types import Augmentation, RejectionReason

PLAIN_LINE_EVERY_SECONDS = 10.0
DASH = "–"


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
            redirect_stdout=False,
            redirect_stderr=False,
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
        """Show that a stage begins; its rate is its own."""
        self._began = None
        self._progress.update(self._task, description=name, total=None, completed=0, details="")
        if not self._console.is_terminal:
            self._console.print(f"{name} …")

    def notice(self, line: str) -> None:
        """Show a line that stays."""
        self._console.print(line, soft_wrap=True, markup=False)

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Show how far the items are."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._num_before = now, counts.num_items
        rate = (counts.num_items - self._num_before) / max(now - self._began, 1e-9)
        details = f"{rate:.1f} items/s · {counts.num_accepted:,} accepted"
        self._progress.update(self._task, total=total, completed=counts.num_items, details=details)
        is_due = now - self._last_line >= PLAIN_LINE_EVERY_SECONDS or counts.num_items == total
        if not self._console.is_terminal and is_due and counts.num_items > self._num_before:
            left = f"{(total - counts.num_items) / rate:.0f} s left" if rate else ""
            self._console.print(f"{counts.num_items:,}/{total:,} items · {details} · {left}")
            self._last_line = now

    def training(self, figures: Mapping[str, Any]) -> None:
        """Show how far a stage of training is."""
        step, total = figures["step"], figures["num_steps"]
        details = f"loss {figures['loss']:.3f} · {figures['tokens_per_second']:,.0f} tokens/s"
        self._progress.update(self._task, total=total, completed=step, details=details)
        if not self._console.is_terminal and time.monotonic() - self._last_line >= PLAIN_LINE_EVERY_SECONDS:
            self._console.print(f"step {step:,}/{total:,} · {details}")
            self._last_line = time.monotonic()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(("", *columns)):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _kinds_table(title: str, kinds: Iterable[Augmentation]) -> Table:
    return _table(title, *(AUGMENTATION_TAGS[kind] for kind in kinds), "all")


def run_table(summary: RunSummary, *, seconds_a_token: float | None) -> Table:
    """Tabulate a run: a column an augmentation.

    Args:
        seconds_a_token: What a completion token took the whole run, start-up left out; None before it ran.
    """
    kinds = {kind: counts for kind, counts in summary.by_augmentation.items() if counts.num_planned}
    columns = [*kinds.values(), sum(kinds.values(), KindSummary())]
    table = _kinds_table("Bootstrap", kinds)
    table.add_row("planned", *(f"{counts.num_planned:,}" for counts in columns))
    table.add_row("finished", *(f"{counts.num_finished:,}" for counts in columns))
    table.add_row("accepted", *(_share(counts.num_accepted, counts.num_finished) for counts in columns))
    for reason in columns[-1].reasons:
        table.add_row(f"  {reason}", *(f"{counts.reasons[reason]:,}" for counts in columns), style="dim")
    table.add_row("failed", *(f"{counts.num_failed:,}" for counts in columns))
    table.add_row("tokens", *(f"{counts.num_tokens:,}" for counts in columns))
    if seconds_a_token:
        seconds = max(columns[-1].num_tokens * seconds_a_token, 1e-9)
        table.add_row("tokens/s", *(f"{counts.num_tokens / seconds:,.0f}" for counts in columns))
    return table


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else DASH


def export_table(summary: ExportSummary) -> Table:
    """Tabulate an export: a column an augmentation."""
    kinds = {kind: counts for kind, counts in summary.by_augmentation.items() if counts.num_items}
    table = _kinds_table("Data set", kinds)
    left_out = sorted({reason for counts in kinds.values() for reason in counts.rejected} & set(_EXPORT_REASONS))
    for name, numbers in (
        ("accepted", [counts.num_accepted for counts in kinds.values()]),
        *((f"  {reason}", [counts.rejected[reason] for counts in kinds.values()]) for reason in left_out),
        ("rows", [counts.num_exported for counts in kinds.values()]),
    ):
        table.add_row(name, *(f"{number:,}" for number in [*numbers, sum(numbers)]))
    table.add_row("duplicate rate", *(f"{counts.duplicate_rate:.1%}" for counts in kinds.values()), "")
    table.add_row("tokens a solution", *(f"{counts.mean_tokens:.0f}" for counts in kinds.values()), "")
    return table


_EXPORT_REASONS = (
    RejectionReason.DUPLICATE,
    RejectionReason.OVER_CAP,
    RejectionReason.CONTAMINATED,
    RejectionReason.BACKWARD_CHECK,
    RejectionReason.HELD_OUT,
)


def row_panel(row: MetaMathQARow) -> Panel:
    """Show one row of the data set."""
    body = Text()
    body.append(row.query + "\n\n", style="bold")
    body.append(row.response)
    return Panel(body, title=row.type, title_align="left")


def estimate_table(estimate: Estimate) -> Table:
    """Tabulate what a run will take."""
    table = _table("Plan", "items", "sampled", "requests", "prompt tokens", "completion tokens")
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
            f"here: about {hours:,.2f} hours at the {estimate.tokens_per_second:,.0f} completion tokens/s that the "
            "sample made here (a full run is faster: the sample does not fill the engine)"
        )
        if estimate.num_gpus:
            lines.append(f"about {estimate.gpu_hours:,.1f} GPU-hours on {estimate.num_gpus} GPUs")
    if estimate.money is not None and estimate.seconds is not None:
        lines.append(f"about {estimate.money:,.2f} at {estimate.price} a million tokens")
    return [*lines, *(estimate.on_gpus.lines() if estimate.on_gpus else [])]


def skipped_tests(summary: ExportSummary) -> list[str]:
    """Say which test questions an export could not read."""
    return [f"skipped, so that nothing is compared with it: {message}" for message in summary.malformed_tests]


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


def stages_table(report: FinetuneReport) -> Table:
    """Tabulate fine-tuning: a row a stage; held-out accuracy with its 95 % interval, AUC."""
    table = _table("Fine-tuning", "rows", "left out", "accuracy", "interval", "AUC", "within")
    if held_out := report.start.get("held_out"):
        table.add_row("before", DASH, DASH, *_accuracy(held_out), DASH, DASH)
    for stage in report.stages:
        data, verifier = stage.results["data"], stage.results.get("verifier", {})
        num_left_out = sum(data.get(reason, 0) for reason in LeftOut)
        table.add_row(
            stage.name,
            f"{data['units']:,}",
            f"{num_left_out:,}",
            *_accuracy(stage.results.get("held_out")),
            _number(verifier.get("auc")),
            _number(verifier.get("within_problem_auc")),
        )
    return table


def _accuracy(held_out: Mapping[str, Any] | None) -> tuple[str, str]:
    if not held_out:
        return DASH, DASH
    found = held_out["accuracy"]
    return f"{found['rate']:.1%} of {found['num']:,}", f"{found['low']:.1%}–{found['high']:.1%}"


def _number(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def sampled_lines(report: SampleReport, run_directory: str) -> list[str]:
    """Say what a table of samples holds."""
    share = _share(report.num_correct, report.num_samples)
    lines = [f"{report.num_samples:,} samples of {report.num_problems:,} problems: {share} correct"]
    if report.num_greedy:
        lines.append(f"greedy: {_share(report.num_greedy_correct, report.num_greedy)} correct")
    if report.num_scored:
        lines.append(f"{report.num_scored:,} samples are scored")
    return [*lines, f"samples: {run_directory}/{SAMPLES_FILE}"]
