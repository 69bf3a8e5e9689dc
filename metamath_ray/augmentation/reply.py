"""What a model wraps around the text it was asked for."""

import re

_LABEL = re.compile(r"^\W*(?:rephrased question|rewritten question|question|statement)\W*:[\s*_]*", re.IGNORECASE)
_QUOTED = re.compile(r"^[\"“](?P<text>[^\"“”]*)[\"”]$", re.DOTALL)


def bare_reply(text: str) -> str:
    """Take off a leading label ("Rephrased question:") and quotation marks around the whole."""
    text = _LABEL.sub("", text.strip()).strip().removesuffix("**")
    quoted = _QUOTED.match(text)
    return quoted["text"].strip() if quoted else text
