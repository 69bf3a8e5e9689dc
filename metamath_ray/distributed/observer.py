"""What a run tells whoever watches it."""

from collections.abc import Mapping
from typing import Any, Protocol

from metamath_ray.distributed.items import BlockCounts


class Observer(Protocol):
    """Watches a run; every method returns at once."""

    def stage(self, name: str) -> None:
        """A stage begins: "starting Ray", "loading the model", …."""

    def notice(self, line: str) -> None:
        """Something that is to be known and to stay on the screen."""

    def progress(self, counts: BlockCounts, total: int) -> None:
        """So many of all planned items are finished, earlier starts included."""


class TrainingObserver(Observer, Protocol):
    """Watches fine-tuning."""

    def training(self, figures: Mapping[str, Any]) -> None:
        """The latest line of a stage's `metrics.jsonl`."""


class Silent:
    """Watches nothing."""

    def stage(self, name: str) -> None:
        """Do nothing."""

    def notice(self, line: str) -> None:
        """Do nothing."""

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Do nothing."""

    def training(self, figures: Mapping[str, Any]) -> None:
        """Do nothing."""
