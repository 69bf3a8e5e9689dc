"""`status` on a terminal: how far a run of any kind is, running or dead, from its files alone."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from metamath_ray.config import describe_validation_error, read_yaml
from metamath_ray.config.loop import LoopConfig
from metamath_ray.errors import RunDirectoryError
from metamath_ray.loop import CONFIGURATION_FILE, StepState, loop_status, loop_table
from metamath_ray.storage import Manifest, RunDirectory, summarize, unfinished_positions
from metamath_ray.storage.tables import SCORE_TABLES
from metamath_ray.terminal import run_table
from metamath_ray.training.report import METRICS_FILE, latest_figures

DASH = "–"
OPEN_STATES = (StepState.RUNNING, StepState.UNFINISHED, StepState.STOPPED)


def show_status(run_directory: str, console: Console | None = None) -> None:
    """Show how far a bootstrap, a sampling, a fine-tuning or a loop is.

    Raises:
        RunDirectoryError: It is none of them, damaged, or cannot be read.
    """
    console, run = console or Console(highlight=False), RunDirectory(run_directory)
    if run.local_path and run.exists(CONFIGURATION_FILE):
        _show_loop(run.local_path, console)
        return
    manifest = run.read_manifest()
    if "stages" in manifest.configuration:
        _show_finetuning(run, manifest, console)
    else:
        _show_items(run, manifest, run_directory, console)


def _show_loop(folder: Path, console: Console) -> None:
    """Show the steps, and below them how far the one is that is under way or was interrupted."""
    file = folder / CONFIGURATION_FILE
    settings = {**read_yaml(file), "run_directory": str(folder)}
    try:
        report = loop_status(LoopConfig.model_validate(settings))
    except ValidationError as error:
        raise RunDirectoryError(f"{file}: damaged ({describe_validation_error(error)})") from error
    console.print(loop_table(report))
    for step in report.steps:
        if step.state in OPEN_STATES and RunDirectory(step.folder).exists("manifest.json"):
            show_status(step.folder, console)


def _show_finetuning(run: RunDirectory, manifest: Manifest, console: Console) -> None:
    names = list(manifest.configuration["stages"])
    latest = {name: latest_figures(RunDirectory(run.path(name))) for name in names}
    table = Table(
        title="Fine-tuning", title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for column in ("state", "step", "loss", "tokens/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in names:
        table.add_row(name, *_stage_cells(latest[name], is_done=name in manifest.stages))
    console.print(table)
    num_done = sum(name in manifest.stages for name in names)
    times = [time for name in names if (time := run.last_written(name, METRICS_FILE))]
    state = _state(run, is_complete=num_done == len(names), last=max(times, default=None))
    console.print(f"{state}: {num_done} of {len(names)} stages; models: {run.root}", soft_wrap=True)


def _stage_cells(figures: Mapping[str, Any] | None, *, is_done: bool) -> tuple[str, ...]:
    if figures is None:
        return ("done" if is_done else "not trained yet", DASH, DASH, DASH)
    at_end = figures["step"] == figures["num_steps"]
    state = "done" if is_done else "measuring" if at_end else "training"
    step = f"{figures['step']:,}/{figures['num_steps']:,}"
    return state, step, f"{figures['loss']:.3f}", f"{figures['tokens_per_second']:,.0f}"


def _show_items(run: RunDirectory, manifest: Manifest, run_directory: str, console: Console) -> None:
    summary, stage = summarize(run), manifest.stages.get("bootstrap", {})
    seconds_a_token = stage["seconds"] / stage["num_tokens"] if stage.get("num_tokens") else None
    console.print(run_table(summary, seconds_a_token=seconds_a_token))
    left = {name: _counts(part) for name, part in _parts(run).items()}
    is_complete = summary.num_finished == summary.num_planned and all(done == all_ for done, all_ in left.values())
    state = _state(run, is_complete=is_complete, budget=manifest.budget_reached)
    done = f"{summary.num_finished:,} of {summary.num_planned:,} items"
    beside = "".join(f"; {name}: {done:,} of {total:,}" for name, (done, total) in left.items())
    console.print(f"{state}: {done}{beside}; outcomes: {run_directory}/outcomes", soft_wrap=True)


def _parts(run: RunDirectory) -> dict[str, RunDirectory]:
    """Return what a sampling has beside its samples: greedy solutions, scores of one verifier or of several."""
    scores = {f"scores/{name}": RunDirectory(run.path("scores", name), SCORE_TABLES) for name in run.folders("scores")}
    parts = {"greedy": RunDirectory(run.path("greedy")), **scores}
    return {name: part for name, part in parts.items() if part.exists("plan.parquet")}


def _counts(part: RunDirectory) -> tuple[int, int]:
    num_planned = part.count_plan()
    return num_planned - int(unfinished_positions(part).size), num_planned


def _state(run: RunDirectory, *, is_complete: bool, budget: str = "", last: datetime | None = None) -> str:
    """Name the state of a run; a bucket has no lock, so there it takes the time of what was written last."""
    if run.is_locked():
        return "running"
    if is_complete:
        return "complete"
    if budget:
        return f"stopped, budget reached ({budget})"
    last = None if run.local_path else last or run.last_stored()
    return f"unfinished, last stored {last:%Y-%m-%d %H:%M:%S} UTC" if last else "stopped"
