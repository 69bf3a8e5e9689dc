"""What a loop did, or would do: a line a step."""

from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """What becomes, or became, of a step."""

    SKIPPED = "skipped"
    """It had ended well, and its inputs are unchanged."""
    NEW = "would run"
    """It has not been run, or what it made is gone."""
    UNFINISHED = "would resume"
    """It was started with these inputs, and has not ended well."""
    CHANGED = "changed"
    """It was made from other inputs, and would run again."""
    RUNNING = "running"
    """A process works on it now."""
    LEFT_OUT = "left out"
    """It was not asked for."""
    DONE = "done"
    """It ran now, and ended well."""
    STOPPED = "budget reached"
    """It ran now, and ended at its budget before all was done."""
    FAILED = "failed"
    """It ran now, and did not end well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step of one round.

    Attributes:
        label: Its name, and with several rounds the round: "verifier", "round_2/verifier".
        seconds: What it took, all tries together, as far as it has run.
        made_from: Labels of the steps that it refers to.
        folder: Where its results are.
    """

    label: str
    command: str
    state: StepState
    seconds: float | None
    made_from: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """All steps, in order.

    Attributes:
        exit_code: That of the step that failed; 0 where none did, and where one ended at its budget.
        failure: Which step failed, and the command that resumes; "" where none did.
    """

    steps: tuple[StepReport, ...]
    exit_code: int = 0
    failure: str = ""
