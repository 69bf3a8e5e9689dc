"""The loop: decide what is to be done, run each step as a process, keep a record of it.

configuration + records ─▶ plan ─▶ for each step: folder made ready ─▶ steps/<step>.yaml ─▶ process ─▶ steps/<step>.json
"""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from metamath_ray.config.loop import LoopConfig
from metamath_ray.errors import RunDirectoryError
from metamath_ray.loop.plan import PlannedStep, plan_steps
from metamath_ray.loop.process import INTERRUPTED, run_command
from metamath_ray.loop.records import StepRecord
from metamath_ray.loop.report import LoopReport, StepState
from metamath_ray.loop.status import budget_reached, reported
from metamath_ray.loop.steps import Step
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.manifest import now

CONFIGURATION_FILE = "loop.yaml"
SUPERSEDED = "superseded"
USER_ERROR = 2
"""Exit code of a command that the user has to put something right for."""


def run_loop(
    config: LoopConfig,
    *,
    tell: Callable[[str], None],
    only: Sequence[str] = (),
    start: str | None = None,
    dry_run: bool = False,
    run_step: Callable[[Sequence[str]], int] = run_command,
) -> LoopReport:
    """Run the steps whose inputs have changed or that have not ended well.

    Stops at the first that fails, or that ends at its budget before all is done.

    Args:
        tell: Takes a line about what happens.
        only: Names or labels of the steps to run; all by default.
        start: Name or label of the step before which all are left as they are.
        dry_run: Decide, and touch nothing.
        run_step: Runs a command of ours, given as arguments, and returns its exit code.

    Raises:
        ConfigError: There is no such step, or one is left out, without which another cannot be made.
        RunDirectoryError: The folder is busy, damaged or cannot be written.
    """
    run = RunDirectory(config.run_directory)
    if dry_run:
        planned = plan_steps(config, only=only, start=start)
        _tell_changes(planned, tell)
        return LoopReport(steps=tuple(reported(one.step, one.state, one.record) for one in planned))
    with run.lock():
        planned = plan_steps(config, only=only, start=start)
        _write_yaml(run, _whole(config, run), f"{_resuming(run)} goes on with this.", CONFIGURATION_FILE)
        reports = [reported(one.step, one.state, one.record) for one in planned]
        for position, one in enumerate(planned):
            if one.state in (StepState.SKIPPED, StepState.LEFT_OUT):
                tell(f"{one.step.label}: {one.state}")
                continue
            code, budget, record = _run(run, one, run_step, tell)
            reports[position] = reported(one.step, _ended(code, budget), record)
            if budget:
                tell(_stopped(one.step, budget))
                return LoopReport(steps=tuple(reports))
            if code:
                failure = _failure(one.step.label, code, _resuming(run, only=only, start=start))
                return LoopReport(steps=tuple(reports), exit_code=code, failure=failure)
        return LoopReport(steps=tuple(reports))


def _tell_changes(planned: Sequence[PlannedStep], tell: Callable[[str], None]) -> None:
    for one in planned:
        if one.state is StepState.CHANGED:
            tell(f"{one.step.label}: changed ({one.changes()})")


def _run(
    run: RunDirectory, one: PlannedStep, run_step: Callable[[Sequence[str]], int], tell: Callable[[str], None]
) -> tuple[int, str, StepRecord]:
    """Run one step; its record says that it has ended only if it has ended well.

    Returns:
        Exit code; which limit of its budget has ended it before all was done, "" where none has; record.
    """
    assert one.inputs is not None  # noqa: S101  what runs was not left out
    step, label = one.step, one.step.label
    if one.state is StepState.CHANGED:
        _make_way(run, one, tell)
    file = f"{label}.yaml"
    arguments = [step.command, "--config", run.path("steps", file)]
    command = shlex.join(["metamath-ray", *arguments])
    settings = {**step.resolved(), **({"fork": True} if step.command == "bootstrap" and one.record else {})}
    _write_yaml(run, settings, f"{command} runs this step by hand.", "steps", file)
    is_same = one.record is not None and one.record.input_hash == one.inputs.hash and one.record.ended is None
    record = StepRecord(
        input_hash=one.inputs.hash,
        inputs=one.inputs.content,
        made_from=one.made_from,
        made=str(step.folder),
        command=command,
        seconds=one.record.seconds if one.record and is_same else 0.0,
    )
    record.write(run, label)
    tell(f"{label}: {command}")
    began = time.monotonic()
    code = run_step(arguments)
    budget = "" if code else budget_reached(step)
    ended = None if code or budget else now()
    record = replace(record, seconds=record.seconds + time.monotonic() - began, ended=ended)
    record.write(run, label)
    return code, budget, record


def _ended(code: int, budget: str) -> StepState:
    return StepState.STOPPED if budget else StepState.FAILED if code else StepState.DONE


def _stopped(step: Step, budget: str) -> str:
    return (
        f"{step.label}: budget reached ({budget}), so no later step is run; the same command with a larger "
        f"steps.{step.name}.budget goes on"
    )


def _make_way(run: RunDirectory, one: PlannedStep, tell: Callable[[str], None]) -> None:
    """Let changed inputs have their folder: what cannot be added to is moved aside."""
    assert one.record is not None  # noqa: S101  what has changed has a record
    step, changed = one.step, f"{one.step.label}: changed ({one.changes()})"
    if one.may_stay or not step.folder.exists():
        tell(changed)
        return
    if RunDirectory(str(step.folder)).is_locked():
        raise RunDirectoryError(f"{step.folder}: in use by another process, and its inputs have changed; wait for it")
    target = _free(Path(run.path(SUPERSEDED, f"{step.label}-{one.record.input_hash[:8]}")))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        step.folder.rename(target)
    except OSError as error:
        raise RunDirectoryError(f"{step.folder}: cannot be moved to {target} ({error.strerror})") from error
    tell(f"{changed}; the old folder is now {target}")


def _free(path: Path) -> Path:
    """Return the path, or with a number behind it the first that is not taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _write_yaml(run: RunDirectory, content: dict[str, Any], remark: str, *parts: str) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    run.write_bytes(f"# {remark}\n{text}".encode(), *parts)


def _whole(config: LoopConfig, run: RunDirectory) -> dict[str, Any]:
    given = config.model_dump(mode="json", include=set(LoopConfig.model_fields), exclude_unset=True)
    return {**given, "run_directory": run.root}


def _resuming(run: RunDirectory, *, only: Sequence[str] = (), start: str | None = None) -> str:
    options = [*(["--only", ",".join(only)] if only else []), *(["--from", start] if start else [])]
    return shlex.join(["metamath-ray", "loop", "--config", run.path(CONFIGURATION_FILE), *options])


def _failure(label: str, code: int, command: str) -> str:
    what = "was interrupted" if code == INTERRUPTED else f"ended with exit code {code}"
    to_fix = " with the configuration as it was: put it right there, or in your own file" if code == USER_ERROR else ""
    return f"the step {label} {what}; what is done is stored, `{command}` resumes{to_fix}"
