"""Log lines of ours as JSON, an object a line, with the names that Ray's JSON lines have.

Ids stand beside the message: `run`, `block`, `item`, `step`, `request`. Questions, prompts, completions and keys are
in no line.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

LOGGER = "metamath_ray"
_STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime"))


class JsonLines(logging.Formatter):
    """Formats a record and what was given as its `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "name": record.name,
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            line["exc_text"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def json_lines(stream: IO[str], level: str) -> Iterator[logging.Logger]:
    """Have our loggers write to a stream, and nowhere else, for the length of a command."""
    logger, handler = logging.getLogger(LOGGER), logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    level_before, propagate_before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level_before)
        logger.propagate = propagate_before
