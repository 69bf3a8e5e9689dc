"""Wall time by stage, where calls of a stage run side by side."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up the time during which at least one call of a stage was open."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._open: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside as one call of the stage."""
        if not self._open[name]:
            self._since[name] = time.monotonic()
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - self._since[name]

    def seconds(self, *names: str) -> dict[str, float]:
        """Return the seconds of each stage, and "total" since the clock was made."""
        return {name: self._seconds.get(name, 0.0) for name in names} | {"total": time.monotonic() - self._began}
