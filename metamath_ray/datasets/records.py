"""Raw records: what stands at one place of a source, and how to read typed fields out of it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from metamath_ray.errors import DataError

_SHOWN_CHARACTERS = 36
"""How much of either end of an offending value an error message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """One record, not yet parsed, so that a malformed one can be skipped without losing the rest.

    Attributes:
        location: Where it stands, for messages: "data/train.jsonl:12", "openai/gsm8k[train]:3".
        source_id: The same without folders: "train.jsonl:12".
        content: The bytes of one JSON object, or a row that a columnar reader has decoded.
    """

    location: str
    source_id: str
    content: bytes | Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One parsed record; its accessors raise `DataError` naming location, field and what was expected."""

    location: str
    source_id: str
    values: Mapping[str, object]

    def reject(self, field: str, expected: str) -> NoReturn:
        """Raise the `DataError` of a field that is not what was expected."""
        found = shown(self.value(field)) if self.has(field) else "nothing"
        raise DataError(f"{self.location}: field '{field}': expected {expected}, got {found}")

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.value(field) is not None

    def value(self, field: str) -> object:
        """Return the field as it stands, None when absent; "a.b" descends into nested objects."""
        if field in self.values:
            return self.values[field]
        value: object = self.values
        for key in field.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def text(self, field: str, expected: str = "a text that is not empty") -> str:
        """Return a text that must be there, without surrounding white space."""
        value = self.value(field)
        if not isinstance(value, str) or not value.strip():
            self.reject(field, expected)
        if not _is_encodable(value):
            self.reject(field, "Unicode text without lone surrogates")
        return value.strip()

    def optional_text(self, field: str, expected: str = "a text") -> str:
        """Return a text or a number as text; "" when the field is absent or null."""
        return self.text_or_number(field, expected) if self.has(field) and self.value(field) != "" else ""

    def text_or_number(self, field: str, expected: str = "a text or a number") -> str:
        """Return a text, or a finite number written as plainly as it can be ("5" for 5.0)."""
        value = self.value(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.text(field, expected)
        if isinstance(value, float) and not math.isfinite(value):
            self.reject(field, expected)
        return str(int(value)) if value == int(value) else repr(value)

    def optional_count(self, field: str) -> int | None:
        """Return a whole number of at least 0, None when the field is absent or null."""
        value = self.value(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.reject(field, "a whole number of at least 0")
        return value


def parse_record(raw: RawRecord) -> Record:
    """Decode one raw record.

    Raises:
        DataError: The bytes are not UTF-8, not JSON, or not an object.
    """
    content = raw.content if isinstance(raw.content, Mapping) else _decode_object(raw.content, raw.location)
    return Record(location=raw.location, source_id=raw.source_id, values=content)


def shown(value: object) -> str:
    """Return the value as a message shows it: quoted, escaped, its middle left out when it is long."""
    text = ascii(value) if isinstance(value, str) and not _is_encodable(value) else repr(value)
    if len(text) <= 2 * _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]} … {text[-_SHOWN_CHARACTERS:]}"


def _decode_object(content: bytes, location: str) -> Mapping[str, object]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise DataError(f"{location}: expected UTF-8 text, got byte 0x{byte:02x} at offset {error.start}") from None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{location}: expected one JSON object, got {shown(text.strip())} ({error.msg}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{location}: expected one JSON object: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{location}: expected one JSON object, got {shown(value)}")
    return value


def _is_encodable(text: str) -> bool:
    """Whether the text has no lone surrogate, which no UTF-8 file and no hash can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
