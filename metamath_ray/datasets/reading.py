"""From a source, whatever its format, to a stream of problems."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import cast

from metamath_ray.config import SourceConfig
from metamath_ray.datasets.files import read_records
from metamath_ray.datasets.hub import is_hub_name, read_hub_records
from metamath_ray.datasets.records import RawRecord, parse_record
from metamath_ray.datasets.schema import Schema, schema_of
from metamath_ray.datasets.source import ProblemSource, Split
from metamath_ray.datasets.word_problems import generate_problems
from metamath_ray.errors import DataError
from metamath_ray.types import Problem


class ProblemReading:
    """Problems, read while they are iterated; every iteration reads the source anew.

    Attributes:
        invalid: Messages of the records that the latest iteration skipped, in order.
    """

    def __init__(self, source: ProblemSource, *, skip_invalid: bool) -> None:
        self._source = source
        self._skip_invalid = skip_invalid
        self.invalid: list[str] = []

    def __iter__(self) -> Iterator[Problem]:
        self.invalid = []
        is_generated = self._source.format == "word_problems"
        return islice(_generate(self._source) if is_generated else self._read(), self._source.limit)

    def _read(self) -> Iterator[Problem]:
        schema: Schema | None = None
        num_valid = 0
        for raw in _raw_records(self._source):
            try:
                record = parse_record(raw)
                schema = schema or schema_of(record, self._source)
                problem = schema.problem(record)
            except DataError as error:
                if not self._skip_invalid:
                    raise
                self.invalid.append(str(error))
            else:
                num_valid += 1
                yield problem
        if not num_valid:
            raise DataError(f"{self._source.path}: no record is valid; the first one: {self.invalid[0]}")


def read_problems(source: ProblemSource, *, skip_invalid: bool = False) -> ProblemReading:
    """Read problems lazily.

    Args:
        source: Where they come from.
        skip_invalid: Collect the messages of malformed records in `ProblemReading.invalid` and go on, where otherwise
            the first one is raised.

    Returns:
        An iterable of problems. Iterating it raises `DataError`, naming file, line, field and what was expected, on a
        malformed record, and, with or without `skip_invalid`, on a source that cannot be read, is empty, holds no
        valid record, or whose format cannot be told.
    """
    return ProblemReading(source, skip_invalid=skip_invalid)


def read_configured(config: SourceConfig) -> ProblemReading:
    """Read the problems that a configuration names; see `read_problems`."""
    source = ProblemSource(**config.model_dump(exclude={"skip_invalid"}))
    return read_problems(source, skip_invalid=config.skip_invalid)


def _raw_records(source: ProblemSource) -> Iterator[RawRecord]:
    assert source.path is not None  # noqa: S101  held by ProblemSource
    path = Path(source.path).expanduser()
    is_on_hub = source.format == "huggingface" or (
        source.format == "auto" and is_hub_name(source.path) and not path.exists()
    )
    if is_on_hub:
        return read_hub_records(source.path, subset=source.subset, split=source.split or "train")
    return read_records(path)


def _generate(source: ProblemSource) -> Iterator[Problem]:
    assert source.limit is not None  # noqa: S101  held by ProblemSource
    return generate_problems(cast(Split, source.split or "train"), source.limit, source.seed)
