"""What of a manifest may be shown to others."""

import re
from collections.abc import Mapping

_SECRET = re.compile(
    r"password|passphrase|secret|credential|authorization|api_?key|private_?key|(?:^|_)(?:key|token)$", re.IGNORECASE
)
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_MACHINE_PATH = re.compile(r"(?<![\w.:/~])(?:file://)?~?(?:/[^\s/,;:'\"]+)+/([^\s/,;:'\"]+)/?")


def publishable(value: object, name: str = "") -> object:
    """Return the value in plain YAML types, secrets hidden and machine paths cut to their last part.

    A secret is recognized by its name (`api_key`, `hf_token`, `password`, …) or as the user part of a URL.
    """
    if _SECRET.search(name) and value is not None:
        return "(hidden)"
    match value:
        case Mapping():
            return {str(key): publishable(inner, str(key)) for key, inner in value.items()}
        case None | bool() | int() | float():
            return value
        case list() | tuple() | set() | frozenset():
            return [publishable(inner) for inner in value]
        case _:
            return _MACHINE_PATH.sub(r"\1", _USER_IN_URL.sub("", str(value)))
