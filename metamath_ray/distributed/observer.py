"""What a run tells whoever watches it."""

from typing import Protocol

from metamath_ray.distributed.items import BlockCounts


class Observer(Protocol):
    """Watches a run; every method returns at once."""

    def stage(self, name: str) -> None:
        """A stage begins: "starting Ray", "loading the model", …."""

    def progress(self, counts: BlockCounts, total: int) -> None:
        """So many of all planned items are finished, earlier starts included."""


class Silent:
    """Watches nothing."""

    def stage(self, name: str) -> None:
        """Do nothing."""

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Do nothing."""
