"""The lock of a folder: held by one process, gone with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from metamath_ray.errors import RunDirectoryError

_FILE = ".lock"


def is_held(folder: Path) -> bool:
    """Whether a process holds the folder now."""
    try:
        with (folder / _FILE).open("r") as handle:
            flock(handle, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, created when missing, for this process.

    Raises:
        RunDirectoryError: Another process holds it, or it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / _FILE).open("a+")
    except OSError as error:
        raise RunDirectoryError(f"{folder}: cannot create this run directory ({error.strerror})") from error
    with handle:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            raise RunDirectoryError(
                f"{folder}: in use by {owner}; wait for it, or choose another run_directory"
            ) from None
        with suppress(OSError):  # the name is a courtesy, the lock holds without it
            handle.truncate(0)
            handle.write(f"process {os.getpid()}")
            handle.flush()
        try:
            yield
        finally:
            _leave_nothing_behind(folder)


def _leave_nothing_behind(folder: Path) -> None:
    """Take away a folder in which nothing came to be: a start that failed on bad input."""
    if [path.name for path in folder.iterdir()] == [_FILE]:
        (folder / _FILE).unlink()
        folder.rmdir()
