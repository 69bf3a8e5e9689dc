"""A run's folder, on a disk or in a bucket: where everything lies, and how it is written without ever half-writing."""

import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import folder_lock
from metamath_ray.storage.filesystems import (
    below,
    explained,
    is_bucket,
    normalized,
    open_location,
    reason,
    require_bucket,
)
from metamath_ray.storage.manifest import Manifest
from metamath_ray.storage.tables import ITEM_TABLES, RunTables

ROWS_PER_GROUP = 1024
"""Plan rows written, and read again, at a time: about a MB."""

COPIED_BYTES = 2**23
"""Of a file that is copied, at a time."""


class RunDirectory:
    """Paths, reads and atomic writes below one run's root; holds no state but the root, and so pickles.

    Args:
        root: A path, or a URL: file, s3, gs, or another that pyarrow opens. Keys come from the environment alone.
        tables: What its plan and its outcomes look like: work items, unless it is said.

    Raises:
        RunDirectoryError: The URL is malformed, or holds a key.
    """

    def __init__(self, root: str, tables: RunTables = ITEM_TABLES) -> None:
        self._tables = tables
        self.root = normalized(root)

    def __repr__(self) -> str:
        return f"RunDirectory({self.root!r})"

    def _filesystem(self, *parts: str) -> tuple[fs.FileSystem, str]:
        filesystem, base = open_location(self.root)
        return filesystem, "/".join((base, *parts))

    @property
    def local_path(self) -> Path | None:
        """The folder on this machine, None for a bucket."""
        return None if "://" in self.root else Path(self.root)

    @property
    def label(self) -> str:
        """The last two parts of its address: short enough for a chart, long enough to tell two runs apart there."""
        return "/".join(PurePosixPath(urlsplit(self.root).path).parts[-2:]).strip("/")

    def path(self, *parts: str) -> str:
        """Return the address of something in the run."""
        return below(self.root, *parts)

    def exists(self, *parts: str) -> bool:
        """Whether there is such a file."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "read"):
            return bool(filesystem.get_file_info(path).type == fs.FileType.File)

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Write a small file so that a reader sees the old one or the new one, never half of it.

        Raises:
            RunDirectoryError: The disk is full, or the folder cannot be written.
        """
        with self._atomic_output(*parts) as sink:
            sink.write(data)

    def append_bytes(self, data: bytes, *parts: str) -> None:
        """Add to a small file of one writer; a bucket cannot add, so there it is written anew."""
        self.write_bytes((self._read_bytes(*parts) if self.exists(*parts) else b"") + data, *parts)

    def write_files(self, files: Sequence[Path], *parts: str) -> None:
        """Copy files of this machine into a folder; they appear when all are there, the last one last.

        Raises:
            RunDirectoryError: The folder cannot be written.
        """
        with ExitStack() as outputs:
            for file in reversed(files):
                sink = outputs.enter_context(self._atomic_output(*parts, file.name))
                with file.open("rb") as source:
                    shutil.copyfileobj(source, sink, COPIED_BYTES)
                sink.close()

    @contextmanager
    def _atomic_output(self, *parts: str) -> Iterator[Any]:
        """Yield a stream to a hidden file, which gets its name when the block has succeeded.

        In a bucket, too: Arrow completes an upload even where its writer has raised, so only a move is safe.
        """
        filesystem, path = self._filesystem(*parts)
        folder, _, name = path.rpartition("/")
        target = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
        with explained(self.path(*parts), "write", "; make room or choose another run_directory, then resume"):
            try:
                if not is_bucket(self.root):
                    filesystem.create_dir(folder, recursive=True)
                with filesystem.open_output_stream(target) as sink:
                    yield sink
                filesystem.move(target, path)
            except BaseException:
                with suppress(OSError):
                    filesystem.delete_file(target)
                raise

    def read_text(self, *parts: str) -> str:
        """Read a small file.

        Raises:
            RunDirectoryError: There is none.
        """
        return self._read_bytes(*parts).decode()

    def _read_bytes(self, *parts: str) -> bytes:
        with self._input(*parts) as source:
            return bytes(source.read())

    @contextmanager
    def _input(self, *parts: str) -> Iterator[Any]:
        """Yield a file to read; what is wrong with it is said in one line, found while it is read, too."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "read"):
            try:
                source = filesystem.open_input_file(path)
            except FileNotFoundError as error:
                require_bucket(self.root)
                raise RunDirectoryError(f"{self.path(*parts)}: no such file; is this a run directory?") from error
            with source:
                try:
                    yield source
                except pa.ArrowException as error:
                    is_shard = parts[0] == "outcomes"
                    advice = "delete it, and its items are done again" if is_shard else "choose another run_directory"
                    raise RunDirectoryError(f"{self.path(*parts)}: damaged ({reason(error)}); {advice}") from error

    def read_manifest(self) -> Manifest:
        """Read what the run is."""
        return Manifest.from_json(self.read_text("manifest.json"), self.path("manifest.json"))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write what the run is."""
        self.write_bytes(manifest.to_json().encode(), "manifest.json")

    def write_plan(self, rows: Iterable[dict[str, Any]]) -> int:
        """Write `plan.parquet` as a stream and return its number of rows."""
        remaining, schema = iter(rows), self._tables.plan
        chunks = iter(lambda: list(islice(remaining, ROWS_PER_GROUP)), [])
        return self.write_batches(
            (pa.RecordBatch.from_pylist(chunk, schema=schema) for chunk in chunks), schema, "plan.parquet"
        )

    def plan_batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream the plan, a few thousand rows at a time."""
        return self.read_batches("plan.parquet", columns=columns)

    def read_batches(self, *parts: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Stream a parquet file, or some columns of it."""
        with self._input(*parts) as source:
            yield from pq.ParquetFile(source).iter_batches(ROWS_PER_GROUP, columns=columns)

    def read_plan_rows(self, positions: Sequence[int]) -> pa.Table:
        """Read some rows of the plan, in their order; only the row groups that hold them are touched."""
        with self._input("plan.parquet") as source:
            plan = pq.ParquetFile(source)
            groups = sorted({position // ROWS_PER_GROUP for position in positions})
            table = plan.read_row_groups(groups)
        place = {group: number * ROWS_PER_GROUP for number, group in enumerate(groups)}
        return table.take([place[at // ROWS_PER_GROUP] + at % ROWS_PER_GROUP for at in positions])

    def count_plan(self) -> int:
        """Return the number of planned items."""
        with self._input("plan.parquet") as source:
            return int(pq.ParquetFile(source).metadata.num_rows)

    def write_outcomes(self, rows: list[dict[str, Any]], shard: str) -> None:
        """Write one new shard of outcomes; shards are never changed."""
        self.write_table(pa.Table.from_pylist(rows, schema=self._tables.outcomes), "outcomes", f"{shard}.parquet")

    def write_batches(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, *parts: str) -> int:
        """Write a parquet file as a stream, whole or not at all; return its number of rows."""
        count = 0
        with self._atomic_output(*parts) as sink, pq.ParquetWriter(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                count += len(batch)
        return count

    def write_table(self, table: pa.Table, *parts: str) -> None:
        """Write a parquet file whole or not at all."""
        with self._atomic_output(*parts) as sink:
            pq.write_table(table, sink)

    def read_table(self, *parts: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a parquet file, or some columns of it."""
        with self._input(*parts) as source:
            return pq.ParquetFile(source).read(columns)

    def tables(self, *parts: str) -> list[str]:
        """Return the names of the parquet files in a folder, sorted; [] where there is no such folder."""
        return sorted(info.base_name for info in self._table_files(*parts))

    def remove(self, *parts: str) -> None:
        """Remove a file or a folder with all that is in it; one that is not there is no error."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "delete"):
            match filesystem.get_file_info(path).type:
                case fs.FileType.Directory:
                    filesystem.delete_dir(path)
                case fs.FileType.File:
                    filesystem.delete_file(path)

    def outcome_shards(self) -> list[str]:
        """Return the names of the shards, sorted."""
        return [name.removesuffix(".parquet") for name in self.tables("outcomes")]

    def last_stored(self) -> datetime | None:
        """Return when the latest outcomes were stored; None before the first, or where a file system keeps no times."""
        return max((info.mtime for info in self._table_files("outcomes") if info.mtime), default=None)

    def last_written(self, *parts: str) -> datetime | None:
        """Return when a file was written; None where there is none, or where a file system keeps no times."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "read"):
            time: datetime | None = filesystem.get_file_info(path).mtime
        return time

    def folders(self, *parts: str) -> list[str]:
        """Return the names of the folders in a folder, sorted; [] where there is no such folder."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "read"):
            listed = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return sorted(info.base_name for info in listed if info.type == fs.FileType.Directory)

    def _table_files(self, *parts: str) -> list[fs.FileInfo]:
        """List the tables in a folder, without what a killed writer left."""
        filesystem, path = self._filesystem(*parts)
        with explained(self.path(*parts), "read"):
            listed = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return [info for info in listed if info.base_name.endswith(".parquet")]

    def read_shard(self, shard: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one shard of outcomes."""
        return self.read_table("outcomes", f"{shard}.parquet", columns=columns)

    def claim(self) -> str:
        """Make this start the run's owner and return its mark: workers of an earlier start must not write any more."""
        mark = uuid.uuid4().hex
        self.write_bytes(mark.encode(), ".owner")
        return mark

    def is_claimed_by(self, mark: str) -> bool:
        """Whether the start with this mark still owns the run."""
        return self.exists(".owner") and self.read_text(".owner") == mark

    def finished_ids(self) -> set[str]:
        """Return the ids of all items that have an outcome."""
        return self.ids_of(self.outcome_shards())

    def ids_of(self, shards: Iterable[str]) -> set[str]:
        """Return the ids of the items whose outcomes some shards hold."""
        ids: set[str] = set()
        for shard in shards:
            ids.update(self.read_shard(shard, ["item_id"]).column("item_id").to_pylist())
        return ids

    def is_locked(self) -> bool:
        """Whether a process holds the run now; always False for a bucket."""
        return self.local_path is not None and folder_lock.is_held(self.local_path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process, so that two runs do not write one folder.

        A lock dies with its process. A bucket has none: there the latest `claim` counts, and ids keep outcomes from
        mixing.

        Raises:
            RunDirectoryError: Another process holds it, or there is no such bucket.
        """
        if self.local_path is None:
            require_bucket(self.root)
            yield
            return
        with folder_lock.held(self.local_path):
            yield
