"""Files as streams of raw records: JSON lines (plain or gzip), a JSON array, a folder of JSON files, parquet."""

import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow
import pyarrow.parquet

from metamath_ray.datasets.records import RawRecord, shown
from metamath_ray.errors import DataError

_CHUNK_CHARACTERS = 1 << 20
_BATCH_ROWS = 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEPARATOR = re.compile(r"[\s,]*")


def source_hash(path: str | None) -> str | None:
    """Hash the files of a source, so that changed or appended input is noticed; None where they are not local."""
    place = Path(path).expanduser() if path else None
    if place is None or not place.exists():
        return None
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(place)).encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:24]


def read_records(path: Path) -> Iterator[RawRecord]:
    """Stream the raw records of a file or folder; its first bytes tell its kind.

    Args:
        path: A file of JSON lines, one JSON array of objects (either may be gzip, named `*.gz`) or parquet; or a folder
            tree of parquet files, or else of `*.json` files with one object each.

    Raises:
        DataError: The path does not exist, cannot be read, is damaged as a whole, or holds no record.
    """
    is_empty = True
    with _reading(path):
        for record in _records_of(path):
            is_empty = False
            yield record
    if is_empty:
        raise DataError(f"{path}: is empty: expected at least one record")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: is not a complete gzip file: {error}") from error
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: is not a readable parquet file: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _records_of(path: Path) -> Iterator[RawRecord]:
    if path.is_dir():
        return _folder_records(path)
    start = _start_of(path)
    if start.startswith(b"PAR1"):
        return _parquet_rows(path)
    return _json_array_items(path) if start.startswith(b"[") else _json_lines(path)


def _folder_records(folder: Path) -> Iterator[RawRecord]:
    parquet_files = sorted(folder.rglob("*.parquet"))
    if parquet_files:
        for path in parquet_files:
            yield from _parquet_rows(path)
        return
    json_files = sorted(folder.rglob("*.json"), key=_natural_order)
    if not json_files:
        raise DataError(f"{folder}: holds no *.json and no *.parquet file; for JSON lines, name one file")
    for path in json_files:
        source_id = path.relative_to(folder.parent).as_posix()
        yield RawRecord(location=str(path), source_id=source_id, content=path.read_bytes())


def _natural_order(path: Path) -> tuple[Path, int, str]:
    """Order 2.json before 10.json."""
    return path.parent, int(path.stem) if path.stem.isdecimal() else 0, path.stem


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _start_of(path: Path) -> bytes:
    with _open(path) as file:
        return file.read(4096).removeprefix(_BYTE_ORDER_MARK).lstrip()[:4]


def _json_lines(path: Path) -> Iterator[RawRecord]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield RawRecord(location=f"{path}:{number}", source_id=f"{path.name}:{number}", content=line)


def _parquet_rows(path: Path) -> Iterator[RawRecord]:
    with pyarrow.parquet.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield RawRecord(location=f"{path}:{number}", source_id=f"{path.name}:{number}", content=row)


def _json_array_items(path: Path) -> Iterator[RawRecord]:
    """Decode one item at a time: the public MetaMathQA is one array of 396 MB."""
    try:
        for number, item in enumerate(_array_values(path), start=1):
            if not isinstance(item, dict):
                raise DataError(f"{path}:{number}: expected one JSON object, got {shown(item)}")
            yield RawRecord(location=f"{path}:{number}", source_id=f"{path.name}:{number}", content=item)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text: {error.reason}") from error


def _array_values(path: Path) -> Iterator[object]:
    decoder = json.JSONDecoder()
    with _open(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
        buffer = file.read(_CHUNK_CHARACTERS)
        position = buffer.index("[") + 1
        while True:
            position = _end_of_separator(buffer, position)
            if buffer.startswith("]", position):
                return
            try:
                value, position = decoder.raw_decode(buffer, position)
                yield value
            except (ValueError, RecursionError) as error:
                chunk = file.read(_CHUNK_CHARACTERS)
                if not chunk or len(buffer) - position > _CHUNK_CHARACTERS:
                    raise DataError(f"{path}: is not a complete JSON array: {error}") from None
                buffer, position = buffer[position:] + chunk, 0


def _end_of_separator(text: str, position: int) -> int:
    match = _SEPARATOR.match(text, position)
    return match.end() if match else position
