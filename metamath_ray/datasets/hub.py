"""Data sets of the Hugging Face Hub, by name."""

import logging
import re
from collections.abc import Iterator
from pathlib import PurePath

from metamath_ray.datasets.records import RawRecord
from metamath_ray.errors import DataError

_NAME = re.compile(r"[\w-]+/[\w.-]+\Z")
_FILE = re.compile(r"\.(?:json|jsonl|parquet|gz|csv|txt)\Z")


def is_hub_name(text: str) -> bool:
    """Whether the text reads as a data set's name ("openai/gsm8k") and not as a file's ("data/train.jsonl")."""
    return bool(_NAME.match(text)) and not _FILE.search(text)


def read_hub_records(name: str, *, subset: str | None, split: str) -> Iterator[RawRecord]:
    """Stream the rows of one split of a Hub data set, or of one in its local cache.

    Args:
        name: "openai/gsm8k", or a folder that `datasets.load_dataset` takes.
        subset: The configuration's name, where the data set has several: "main".
        split: The split's name on the Hub.

    Raises:
        DataError: The data set cannot be loaded: no network, no such name, subset or split, or no access.
    """
    import datasets  # noqa: PLC0415  takes seconds, and only this reader needs it

    # Its retries are told one by one; the outcome is told below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        rows = datasets.load_dataset(name, subset, split=split)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{name}[{split}]: cannot be loaded from the Hugging Face Hub: {reason}. "
            "Check the name, the subset and the network, or give the path of a local file."
        ) from error
    for number, row in enumerate(rows, start=1):
        place = f"[{split}]:{number}"
        yield RawRecord(location=name + place, source_id=PurePath(name).name + place, content=row)
