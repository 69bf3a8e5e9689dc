"""References of a loop's settings to what other steps made.

A string that begins with "@" is a reference: "@step/path" is a path in that step's folder, "@previous/step/path" the
same in the round before, "@rounds/step/path" a list of the same in every round so far.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from metamath_ray.errors import ConfigError

_REFERENCE = re.compile(r"@(?:(?P<rounds>previous|rounds)/)?(?P<step>[^\W\d]\w*)(?:/(?P<rest>[^/]+(?:/[^/]+)*))?")


class Rounds(StrEnum):
    """In which rounds a reference means its step."""

    THIS = ""
    """In the round that it is read in."""
    PREVIOUS = "previous"
    """In the one before."""
    SO_FAR = "rounds"
    """In this one and all before; what stands there is a list, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A path in another step's folder, or of all rounds so far.

    Attributes:
        rest: Path below the folder; "" is the folder itself.
    """

    step: str
    rest: str = ""
    rounds: Rounds = Rounds.THIS

    def __str__(self) -> str:
        return "@" + "/".join(filter(None, (self.rounds, self.step, self.rest)))

    def round_numbers(self, current: int) -> range:
        """Return the rounds (1, 2, …) that are meant in a round, oldest first."""
        match self.rounds:
            case Rounds.THIS:
                return range(current, current + 1)
            case Rounds.PREVIOUS:
                return range(current - 1, current)
            case Rounds.SO_FAR:
                return range(1, current + 1)


def parse_reference(text: str) -> Reference:
    """Read a string that begins with "@".

    Raises:
        ConfigError: It is no reference.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or {".", ".."} & set((match["rest"] or "").split("/")):
        raise ConfigError(
            f'"{text}" is no reference; write "@step/path", "@rounds/step/path" for a list of all rounds so far or, in '
            'later_rounds, "@previous/step/path"'
        )
    return Reference(step=match["step"], rest=match["rest"] or "", rounds=Rounds(match["rounds"] or ""))


def put_in(value: Any, replace: Callable[[Reference], str | list[str]]) -> Any:  # noqa: ANN401  (what YAML holds)
    """Return the settings with a text in each reference's place, or a list, which joins one that it stands in."""
    match value:
        case str() if value.startswith("@"):
            return replace(parse_reference(value))
        case Mapping():
            return {key: put_in(item, replace) for key, item in value.items()}
        case list() | tuple():
            return [part for item in value for part in _parts(item, put_in(item, replace))]
    return value


def _parts(item: Any, found: Any) -> list[Any]:  # noqa: ANN401  (what YAML holds)
    return found if isinstance(item, str) and isinstance(found, list) else [found]


def references(value: Any) -> Iterator[Reference]:  # noqa: ANN401  (what YAML holds)
    """Yield the references in settings."""
    match value:
        case str() if value.startswith("@"):
            yield parse_reference(value)
        case Mapping():
            for item in value.values():
                yield from references(item)
        case list() | tuple():
            for item in value:
                yield from references(item)
