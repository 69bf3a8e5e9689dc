"""What would run and why, out of the configuration and the records of earlier starts; touches nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metamath_ray.config.loop import LoopConfig
from metamath_ray.errors import ConfigError
from metamath_ray.loop.inputs import Inputs, inputs_of
from metamath_ray.loop.records import StepRecord
from metamath_ray.loop.report import StepState
from metamath_ray.loop.steps import Step, unfold
from metamath_ray.storage import Manifest, RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step, and what is to become of it.

    Attributes:
        record: Of its last start; None before the first.
        inputs: What its result will be made from; None where it is left out.
        made_from: Label → input hash, of the steps that it refers to.
    """

    step: Step
    state: StepState
    record: StepRecord | None
    inputs: Inputs | None = None
    made_from: dict[str, str] = field(default_factory=dict)

    @property
    def may_stay(self) -> bool:
        """Whether its folder may stay although its inputs have changed: it adds to what is there, or writes over it."""
        step, record, inputs = self.step, self.record, self.inputs
        if record is None or inputs is None or step.home != step.label:
            return True
        if record.inputs.get("command") != step.command or step.command == "finetune":
            return False
        is_there = record.made == str(step.folder)
        return step.command != "sample" or (is_there and inputs.can_grow_from(record.inputs))

    def changes(self) -> str:
        """Say which inputs have changed since its record."""
        if self.record is None or self.inputs is None:
            return ""
        found = Manifest(content=self.record.inputs, configuration={}).differences(self.inputs.content)
        return "; ".join(found[:3]) or "its folder was moved, or settings stand in another order"


def plan_steps(config: LoopConfig, *, only: Sequence[str], start: str | None) -> list[PlannedStep]:
    """Decide about each step, in order.

    A step that is left out stands for what it was made from, whatever the configuration says now.

    Raises:
        ConfigError: There is no such step, or one is left out, without which another cannot be made.
        RunDirectoryError: A record is damaged.
    """
    run, steps = RunDirectory(config.run_directory), unfold(config)
    chosen = _chosen(steps, only, start)
    hashes: dict[str, str] = {}
    planned = []
    for label, step in steps.items():
        record = StepRecord.read(run, label)
        if label in chosen:
            one = _planned(step, record, hashes, Path(run.root))
        else:
            one = PlannedStep(step=step, state=StepState.LEFT_OUT, record=record)
        if one.inputs:
            hashes[label] = one.inputs.hash
        elif record and record.ended and step.is_made:
            hashes[label] = record.input_hash
        planned.append(one)
    return planned


def _planned(step: Step, record: StepRecord | None, hashes: Mapping[str, str], root: Path) -> PlannedStep:
    for label in step.made_from:
        if label not in hashes:
            raise ConfigError(f"{step.label} is made from {label}, which has not ended well; do not leave it out")
    inputs = inputs_of(step, hashes, root)
    return PlannedStep(
        step=step,
        state=_state(step, record, inputs),
        record=record,
        inputs=inputs,
        made_from={label: hashes[label] for label in step.made_from},
    )


def _state(step: Step, record: StepRecord | None, inputs: Inputs) -> StepState:
    if record is None:
        return StepState.NEW
    if record.input_hash != inputs.hash:
        return StepState.CHANGED
    if record.ended is None:
        return StepState.UNFINISHED if record.made == str(step.folder) else StepState.CHANGED
    return StepState.SKIPPED if step.is_made else StepState.NEW


def _chosen(steps: Mapping[str, Step], only: Sequence[str], start: str | None) -> set[str]:
    for name in (*only, *([start] if start else [])):
        if not any(name in (step.label, step.name) for step in steps.values()):
            raise ConfigError(f"no step {name!r}; there are {', '.join(steps)}")
    labels = list(steps)
    if start:
        labels = labels[next(at for at, step in enumerate(steps.values()) if start in (step.label, step.name)) :]
    return {label for label in labels if not only or {label, steps[label].name} & set(only)}
