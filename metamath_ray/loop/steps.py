"""The steps of a loop, round after round: where each works, and which earlier ones it is made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamath_ray.config.loop import COMMANDS, CommandForm, LoopConfig, StepCommand
from metamath_ray.config.references import Reference, Rounds, put_in, references


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a reference means, in one round.

    Attributes:
        name: The reference with the step's label in full: "@round_1/judged/samples.parquet".
        made_by: Labels of the steps that have written into that step's folder by then: of a bootstrap, its export, too.
    """

    name: str
    path: Path
    made_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of one round.

    Attributes:
        label: Its name, and with several rounds the round: "verifier", "round_2/verifier".
        settings: Of its command, with references.
        places: What each of its references means: one place, or one for each round, oldest first.
        folder: Where it works, an absolute path.
        home: Label of the step whose folder that is: its own, unless it writes into another's.
    """

    label: str
    name: str
    command: StepCommand
    settings: dict[str, Any]
    places: dict[Reference, tuple[Place, ...]]
    folder: Path
    home: str

    @property
    def form(self) -> CommandForm:
        """What is known of its command."""
        return COMMANDS[self.command]

    @property
    def made_from(self) -> tuple[str, ...]:
        """Labels of the steps that it refers to."""
        places = (place for places in self.places.values() for place in places)
        return tuple(dict.fromkeys(label for place in places for label in place.made_by))

    @property
    def is_made(self) -> bool:
        """Whether there is what it makes."""
        return (self.folder / self.form.product).exists()

    def resolved(self) -> dict[str, Any]:
        """Return its command's configuration, folder and paths put in."""
        return {self.form.folder: str(self.folder), **self.filled(lambda place: str(place.path))}

    def filled(self, text: Callable[[Place], str]) -> dict[str, Any]:
        """Return its settings with a text for each place that its references mean."""

        def texts(reference: Reference) -> str | list[str]:
            found = [text(place) for place in self.places[reference]]
            return found if reference.rounds is Rounds.SO_FAR else found[0]

        settings: dict[str, Any] = put_in(self.settings, texts)
        return settings


def unfold(config: LoopConfig) -> dict[str, Step]:
    """Return the steps of all rounds by their labels, in the order in which they run."""
    steps: dict[str, Step] = {}
    for round_number in range(1, config.rounds + 1):
        for name in config.steps:
            step = _step(config, name, round_number, steps)
            steps[step.label] = step
    return steps


def _step(config: LoopConfig, name: str, round_number: int, earlier: Mapping[str, Step]) -> Step:
    command, settings = config.steps[name].command, config.settings(name, round_number)
    label = _label(config, name, round_number)
    labels = {
        reference: [_label(config, reference.step, number) for number in reference.round_numbers(round_number)]
        for reference in references(settings)
    }
    places = {
        reference: tuple(_place(reference, label, earlier) for label in labels[reference]) for reference in labels
    }
    folder, home = Path(config.run_directory).absolute() / label, label
    for reference in references(settings.get(COMMANDS[command].folder)):
        [place], [guest_of] = places[reference], labels[reference]
        folder, home = place.path, earlier[guest_of].home
    return Step(label=label, name=name, command=command, settings=settings, places=places, folder=folder, home=home)


def _label(config: LoopConfig, name: str, round_number: int) -> str:
    return name if config.rounds == 1 else f"round_{round_number}/{name}"


def _place(reference: Reference, label: str, earlier: Mapping[str, Step]) -> Place:
    step = earlier[label]
    return Place(
        name="@" + "/".join(filter(None, (label, reference.rest))),
        path=step.folder / reference.rest,
        made_by=tuple(other.label for other in earlier.values() if other.home == step.home),
    )
