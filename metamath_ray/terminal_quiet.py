"""Keeps what libraries print off the terminal, and in a log that outlives the process."""

import os
import re
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

PREFIX = "metamath-ray"
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
            for log in _logs_of_the_dead(run_directory):
                _tell_of(log, run_directory, console)
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
        with tempfile.TemporaryFile() as sink:
            yield sink
        return
    with tempfile.NamedTemporaryFile(prefix=f"{_prefix(run_directory)}{os.getpid()}-", suffix=".log") as sink:
        yield sink


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _prefix(run_directory: str) -> str:
    where = run_directory if "://" in run_directory else str(Path(run_directory).absolute())
    return f"{PREFIX}-{content_id((where,))[:12]}-"


def _logs_of_the_dead(run_directory: str) -> list[Path]:
    """Return the logs of this user's earlier starts that did not come to put them away, oldest first."""
    prefix, found = _prefix(run_directory), []
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*.log"):
        pid = re.match(r"(\d+)-", path.name.removeprefix(prefix))
        with suppress(FileNotFoundError):  # its process is just ending well
            if pid and not _is_alive(int(pid[1])) and path.stat().st_uid == os.getuid():
                found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _tell_of(log: Path, run_directory: str, console: Console) -> None:
    """Say that a start was cut off, and where its log is; it moves to the run, if there is one."""
    where = str(log)
    if _keep(log.read_bytes(), run_directory):
        where = "/".join((run_directory, *DRIVER_LOG))
        log.unlink()
    console.print(f"an earlier start was cut off; its log: {where}", soft_wrap=True, markup=False)


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
