"""Keeps what libraries print off the terminal, and in a log that outlives the process."""

import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rich.console import Console

from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory
from metamath_ray.types import content_id

PREFIX, SUFFIX = "metamath-ray", ".log"
DRIVER_LOG = ("logs", "driver.log")


@contextmanager
def quiet(run_directory: str | None) -> Iterator[Console]:
    """Send what libraries print, from Python or not, to a log; yield a console on the real terminal.

    Ray and vLLM write to the process's standard streams from C++ and from threads, so the streams themselves are
    turned, not Python's names for them. The log ends up in the run's `logs/driver.log`, if there is a run by then: a
    start that fails on bad input leaves nothing.

    Ray's C++ may end a driver that lost its cluster, and the system one that takes too much memory. Then nobody can say
    why but that log: it stays among the temporary files, and the run's next start says so and keeps it.
    """
    _flush()
    streams = [os.dup(1), os.dup(2)]
    with _sink(run_directory) as sink, os.fdopen(os.dup(1), "w", encoding="utf-8") as screen:
        console = Console(file=screen, highlight=False)
        if run_directory is not None:
            _tell_of_the_dead(run_directory, console)
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
        try:
            yield console
        finally:
            _flush()
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            sink.seek(0)
            _keep(sink.read(), run_directory)


@contextmanager
def _sink(run_directory: str | None) -> Iterator[IO[bytes]]:
    """Yield a file that is gone afterwards; that of a run is still there when the process dies."""
    if run_directory is None:
        with tempfile.TemporaryFile() as nameless:
            yield nameless
        return
    number, name = tempfile.mkstemp(prefix=_prefix(run_directory), suffix=SUFFIX)
    with os.fdopen(number, "r+b") as sink, Path(name).open("rb") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)  # not on the sink itself, which children inherit
        try:
            yield sink
        finally:
            Path(name).unlink(missing_ok=True)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _prefix(run_directory: str) -> str:
    where = run_directory if "://" in run_directory else str(Path(run_directory).absolute())
    return f"{PREFIX}-{content_id((where,))[:12]}-"


def _tell_of_the_dead(run_directory: str, console: Console) -> None:
    """Say which starts were cut off, and where their logs are; they move to the run, if there is one."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{_prefix(run_directory)}*{SUFFIX}")):
        with suppress(OSError), _own_file(path) as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            where = str(path)
            if _keep(log.read(), run_directory):
                where = "/".join((run_directory, *DRIVER_LOG))
                path.unlink()
            console.print(f"an earlier start was cut off; its log: {where}", soft_wrap=True, markup=False)


def _own_file(path: Path) -> IO[bytes]:
    """Open a file that this user made: anybody may put a link of that name among the temporary files.

    Raises:
        OSError: It is something else.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    opened = os.fdopen(number, "rb")
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        opened.close()
        raise PermissionError(path)
    return opened


def _keep(said: bytes, run_directory: str | None) -> bool:
    """Add to the run's log; whether there is a run that could take it."""
    if run_directory is None:
        return False
    with suppress(RunDirectoryError):  # it must not hide how the run ended
        run = RunDirectory(run_directory)
        if run.exists("manifest.json"):
            run.append_bytes(said, *DRIVER_LOG)
            return True
    return False
