"""A loop's report as a table for the terminal."""

from rich.table import Table

from metamath_ray.loop.report import LoopReport, StepState

_STYLES = {
    StepState.SKIPPED: "dim",
    StepState.LEFT_OUT: "dim",
    StepState.CHANGED: "yellow",
    StepState.STOPPED: "yellow",
    StepState.FAILED: "red",
}


def loop_table(report: LoopReport) -> Table:
    """Tabulate a loop: a row a step."""
    table = Table(title="Loop", title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for name in ("", "command", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("made from")
    for step in report.steps:
        seconds = "–" if step.seconds is None else f"{step.seconds:,.0f}"
        made_from = ", ".join(step.made_from) or "–"
        table.add_row(step.label, step.command, step.state.value, seconds, made_from, style=_STYLES.get(step.state))
    return table
