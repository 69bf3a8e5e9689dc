"""Files and folders that a setting names, here or in a bucket: are they there, their content, a copy to read."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pyarrow import fs

from metamath_ray.datasets.files import source_hash
from metamath_ray.storage.filesystems import explained, normalized, open_location


def expanded(location: str) -> str:
    """Return a path with its "~" replaced; a URL as it stands."""
    return location if "://" in location else str(Path(location).expanduser())


def is_folder(location: str) -> bool:
    """Whether there is such a folder; a bucket has those in which something lies."""
    location = normalized(location)
    filesystem, path = open_location(location)
    with explained(location, "read"):
        return bool(filesystem.get_file_info(path).type == fs.FileType.Directory)


def is_there(location: str) -> bool:
    """Whether there is such a file or folder; a bucket has those folders in which something lies."""
    location = normalized(location)
    filesystem, path = open_location(location)
    with explained(location, "read"):
        return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


@contextmanager
def local_copy(location: str) -> Iterator[Path]:
    """Yield a path of this machine: a local one itself, or a copy that lasts as long as the block.

    Raises:
        RunDirectoryError: It is in a bucket and cannot be read.
    """
    if "://" not in location:
        yield Path(location)
        return
    with tempfile.TemporaryDirectory(prefix="metamath-ray-") as scratch:
        name = PurePosixPath(open_location(normalized(location))[1]).name
        yield copied(location, Path(scratch, name))


def copied(location: str, destination: Path) -> Path:
    """Copy a file or a folder to this machine and return where it is now.

    Raises:
        RunDirectoryError: It cannot be read.
    """
    location = normalized(location)
    filesystem, path = open_location(location)
    with explained(location, "read"):
        if filesystem.get_file_info(path).type == fs.FileType.Directory:
            destination.mkdir()
        fs.copy_files(path, str(destination), source_filesystem=filesystem)
    return destination


def content_hash(location: str) -> str | None:
    """Hash a file or the files of a folder, so that a change is noticed; None where there is none.

    Raises:
        RunDirectoryError: It is in a bucket and cannot be read.
    """
    if not is_there(location):
        return None
    with local_copy(location) as copy:
        return source_hash(str(copy))
