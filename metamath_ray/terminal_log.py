"""Who watches a command: a terminal, or a log of JSON lines."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from metamath_ray.config import RayConfig
from metamath_ray.distributed.items import BlockCounts
from metamath_ray.distributed.observer import TrainingObserver
from metamath_ray.errors import MetamathRayError
from metamath_ray.log_lines import json_lines
from metamath_ray.terminal import TerminalObserver

LINE_EVERY_SECONDS = 10.0
TRAINING_FIGURES = ("step", "num_steps", "loss", "tokens_per_second")


@contextmanager
def observing(console: Console, run_directory: str, ray: RayConfig) -> Iterator[TrainingObserver]:
    """Watch a command as `ray.log_format` says; an error that ends it becomes a JSON line, too.

    Args:
        console: On the real terminal, or on the log of a submitted job.
        run_directory: Stands as `run` in each line; "" where there is none.
        ray: Format and level.
    """
    if ray.log_format == "text":
        with TerminalObserver(console) as observer:
            yield observer
        return
    with json_lines(console.file, ray.log_level) as logger:
        observing = LogObserver(logger, run_directory)
        try:
            yield observing
        except MetamathRayError as error:
            observing.failed(error)
            raise


class LogObserver:
    """Writes stages and progress as log lines."""

    def __init__(self, logger: logging.Logger, run_directory: str) -> None:
        self._logger = logger
        self._run = {"run": run_directory} if run_directory else {}
        self._last_line = 0.0

    def stage(self, name: str) -> None:
        """Say that a stage begins."""
        self._logger.info("stage: %s", name, extra=self._run)

    def notice(self, line: str) -> None:
        """Say something that is to be known."""
        self._logger.warning("%s", line, extra=self._run)

    def progress(self, counts: BlockCounts, total: int) -> None:
        """Say now and then, and at the end, how far the items are."""
        if counts.num_items == total or self._is_due():
            figures = {
                "num_items": counts.num_items,
                "num_planned": total,
                "num_accepted": counts.num_accepted,
                "num_failed": counts.num_failed,
                "num_tokens": counts.num_tokens,
            }
            self._logger.info("progress", extra={**self._run, **figures})

    def training(self, figures: Mapping[str, Any]) -> None:
        """Say now and then how far a stage of training is."""
        if self._is_due():
            self._logger.info("training", extra={**self._run, **{name: figures[name] for name in TRAINING_FIGURES}})

    def failed(self, error: MetamathRayError) -> None:
        """Say what ended the command."""
        self._logger.error("%s", error, extra={**self._run, "error": type(error).__name__})

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now - self._last_line < LINE_EVERY_SECONDS:
            return False
        self._last_line = now
        return True
