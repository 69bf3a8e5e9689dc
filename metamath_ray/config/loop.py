"""The loop: named steps in order, each one of our commands with its configuration, made of what earlier steps made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

from pydantic import AliasChoices, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from metamath_ray.config.base import FrozenConfig, GivenSettings, describe_validation_error
from metamath_ray.config.bootstrap import BootstrapCommand, ExportCommand
from metamath_ray.config.evaluate import EvaluateCommand
from metamath_ray.config.finetune import FinetuneCommand
from metamath_ray.config.references import Reference, Rounds, put_in, references
from metamath_ray.config.sample import SampleCommand
from metamath_ray.errors import ConfigError

StepCommand = Literal["bootstrap", "export", "finetune", "sample", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandForm:
    """What the loop knows of a command.

    Attributes:
        product: File in its folder that is there when it has ended well.
        folder: Setting that names its folder.
        is_guest: May write into the folder of another step, over nothing but its own files.
        has_own_folder: Works in a folder that the loop gives it, if it is no guest.
    """

    config_class: type[FrozenConfig]
    product: str
    folder: str = "run_directory"
    is_guest: bool = False
    has_own_folder: bool = True


COMMANDS: dict[StepCommand, CommandForm] = {
    "bootstrap": CommandForm(config_class=BootstrapCommand, product="manifest.json"),
    "export": CommandForm(
        config_class=ExportCommand, product="dataset/metamathqa.jsonl", is_guest=True, has_own_folder=False
    ),
    "finetune": CommandForm(config_class=FinetuneCommand, product="manifest.json"),
    "sample": CommandForm(config_class=SampleCommand, product="samples.parquet"),
    "evaluate": CommandForm(config_class=EvaluateCommand, product="results.json", folder="output", is_guest=True),
}

RESERVED_NAME = re.compile(r"steps|superseded|previous|rounds|logs|round_\d+")
"""Names in the loop's folder, and in references."""


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with changes put in, mapping by mapping; everything else is replaced whole."""
    result = dict(settings)
    for name, change in changes.items():
        here = result.get(name)
        result[name] = merged(here, change) if isinstance(here, Mapping) and isinstance(change, Mapping) else change
    return result


def parse_settings(command: StepCommand, settings: Mapping[str, Any]) -> FrozenConfig:
    """Build a command's configuration as the command does from a file: a part given in part keeps its other defaults.

    Raises:
        ValidationError: A setting is wrong.
    """
    found = _settings_class(command)(**settings)
    return COMMANDS[command].config_class.model_validate(found.model_dump(exclude_unset=True))


@cache
def _settings_class(command: StepCommand) -> type[BaseSettings]:
    class Settings(GivenSettings, COMMANDS[command].config_class):  # type: ignore[misc]
        model_config = SettingsConfigDict(
            nested_model_default_partial_update=True, frozen=True, extra="forbid", protected_namespaces=()
        )

    return Settings


class StepConfig(FrozenConfig):
    """One step: a command, and beside it the settings of that command."""

    model_config = ConfigDict(extra="allow")

    command: StepCommand
    """Which command; its own settings stand beside this one. The loop sets the folder. A value "@step/path" is a path
    in the folder of an earlier step, "@rounds/step/path" a list of the same in this round and all before."""

    @property
    def settings(self) -> dict[str, Any]:
        """The command's own settings, references not yet put in."""
        return dict(self.model_extra or {})


class LoopConfig(FrozenConfig):
    """Steps in order, each a command of ours."""

    run_directory: str = "runs/loop"
    """Folder of the loop: a folder a step, what each was made from, and what changed settings have superseded."""
    rounds: int = Field(default=1, ge=1)
    """Times that all steps are gone through; with more than one, each round has a folder."""
    steps: dict[str, StepConfig] = Field(min_length=1)
    """In order, by name."""
    later_rounds: Mapping[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of steps that differ from round 2 on, by the steps' names; here "@previous/step/path" is a path in the
    round before."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "://" in self.run_directory:
            raise ConfigError(f"run_directory {self.run_directory!r}: a loop needs a folder that all nodes see")
        for name in self.steps:
            if not name.isidentifier() or RESERVED_NAME.fullmatch(name):
                raise ConfigError(f"steps: {name!r} cannot name a step; use another name of letters, digits and _")
        for name, changes in self.later_rounds.items():
            if name not in self.steps:
                raise ConfigError(f"later_rounds.{name}: there is no such step; there are {', '.join(self.steps)}")
            if "command" in changes:
                raise ConfigError(f"later_rounds.{name}: a step keeps its command; leave `command` out")
        for round_number in (1, 2) if self.later_rounds else (1,):
            _check_round(self, round_number)
        return self

    def settings(self, name: str, round_number: int) -> dict[str, Any]:
        """Return a step's settings in a round (1, 2, …), references not yet put in."""
        return merged(self.steps[name].settings, self.later_rounds.get(name, {}) if round_number > 1 else {})


class LoopCommand(LoopConfig):
    """Run steps in order, each a command of ours; a step whose inputs are unchanged is skipped."""

    only: tuple[str, ...] = ()
    """Run no other steps than these: "verifier", in every round, or "round_2/verifier"."""
    start: str | None = Field(default=None, validation_alias=AliasChoices("from", "start"))
    """Leave the steps before this one as they are."""
    dry_run: bool = False
    """Say what would run and why, and touch nothing."""


def _check_round(config: LoopConfig, round_number: int) -> None:
    part = "steps" if round_number == 1 else "later_rounds"
    folders: set[tuple[str, str]] = set()
    for position, (name, step) in enumerate(config.steps.items()):
        settings = config.settings(name, round_number)
        try:
            for reference in references(settings):
                _check_reference(reference, list(config.steps), position, round_number)
            _check_folder(step.command, settings)
            _check_settings(step.command, settings)
        except ConfigError as error:
            raise ConfigError(f"{part}.{name}: {error}") from error.__cause__
        folder = (step.command, str(settings.get(COMMANDS[step.command].folder, f"@{name}")))
        if folder in folders:
            raise ConfigError(f"{part}.{name}: an earlier {step.command} step already writes into {folder[1]}")
        folders.add(folder)


def _check_reference(reference: Reference, names: list[str], position: int, round_number: int) -> None:
    is_previous = reference.rounds is Rounds.PREVIOUS
    if is_previous and round_number == 1:
        raise ConfigError(f'"{reference}" belongs into later_rounds; before the first round there is none')
    known = names if is_previous else names[:position]
    if reference.step not in known:
        where = "step of the round before" if is_previous else "earlier step"
        raise ConfigError(f'"{reference}" names no {where}; there is {", ".join(known) or "none"}')


def _check_folder(command: StepCommand, settings: Mapping[str, Any]) -> None:
    form = COMMANDS[command]
    folder = settings.get(form.folder)
    is_reference = isinstance(folder, str) and folder.startswith("@")
    if not form.has_own_folder and not is_reference:
        raise ConfigError(f'{form.folder} has to name the step that it works on, for example "@bootstrap"')
    if form.folder in settings and not (form.is_guest and is_reference):
        raise ConfigError(f"{form.folder} is set by the loop; leave it out")


def _check_settings(command: StepCommand, settings: Mapping[str, Any]) -> None:
    form = COMMANDS[command]
    filled = put_in(settings, lambda reference: ["folder"] if reference.rounds is Rounds.SO_FAR else "folder")
    try:
        parse_settings(command, {form.folder: "folder", **filled})
    except ValidationError as error:
        raise ConfigError(f"{describe_validation_error(error)} (see `metamath-ray {command} --help`)") from error
