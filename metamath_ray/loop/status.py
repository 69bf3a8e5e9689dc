"""What has become of a loop's steps so far, from its records alone: works on a running loop and on a dead one."""

from metamath_ray.config.loop import LoopConfig
from metamath_ray.loop.records import StepRecord
from metamath_ray.loop.report import LoopReport, StepReport, StepState
from metamath_ray.loop.steps import Step, unfold
from metamath_ray.storage import RunDirectory

PAID = ("bootstrap", "sample")
"""Commands that may have a budget."""


def loop_status(config: LoopConfig) -> LoopReport:
    """Look at each step's record; whether inputs have changed since is not looked at.

    Raises:
        RunDirectoryError: A record is damaged.
    """
    run = RunDirectory(config.run_directory)
    is_running = run.is_locked()
    records = {label: StepRecord.read(run, label) for label in unfold(config)}
    steps = unfold(config).values()
    return LoopReport(
        steps=tuple(
            reported(step, _state(step, records[step.label], is_running=is_running), records[step.label])
            for step in steps
        )
    )


def _state(step: Step, record: StepRecord | None, *, is_running: bool) -> StepState:
    if record is None or (record.ended and not step.is_made):
        return StepState.NEW
    if record.ended:
        return StepState.DONE
    if is_running:
        return StepState.RUNNING
    return StepState.STOPPED if budget_reached(step) else StepState.UNFINISHED


def budget_reached(step: Step) -> str:
    """Say which limit of its budget has ended a step before all was done; "" where none has."""
    folder = RunDirectory(str(step.folder))
    return folder.read_manifest().budget_reached if step.command in PAID and folder.exists("manifest.json") else ""


def reported(step: Step, state: StepState, record: StepRecord | None) -> StepReport:
    """Report a step in a state, with what its record says."""
    return StepReport(
        label=step.label,
        command=step.command,
        state=state,
        seconds=record.seconds if record and record.seconds else None,
        made_from=step.made_from,
        folder=str(step.folder),
    )
