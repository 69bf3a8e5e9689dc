"""What is behind an address: a path of this machine, or a URL of a bucket; and why it cannot be used, in one line."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from metamath_ray.errors import RunDirectoryError

MAX_ATTEMPTS = 5
"""At one request to S3; a server that says nothing costs 3 s an attempt, one that is not there much less."""

GCS_RETRY_SECONDS = 10
"""Arrow's own limit is 15 minutes."""

_BUCKET_SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss")
_S3_OPTIONS = ("endpoint_override", "region", "scheme")
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

_REASONS = (
    (
        r"bucket '.*' not found|NO_SUCH_BUCKET",
        "there is no such bucket; create it, or correct the name or AWS_ENDPOINT_URL",
    ),
    (
        r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|SIGNATURE_DOES_NOT_MATCH|EXPIRED|UNAUTHENTICATED"
        r"|PERMISSION_DENIED|HTTP status 40[13]",
        "access denied; check the credentials in the environment of this node (AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or its role) and what they may do in this bucket",
    ),
    (
        r"NETWORK_CONNECTION|UNAVAILABLE|Could not (?:connect|resolve)|Retry policy exhausted",
        "the storage service cannot be reached; check the network, AWS_ENDPOINT_URL and the region",
    ),
)


def normalized(location: str) -> str:
    """Return an absolute path, for "file://" too, or a URL without a slash at its end.

    Raises:
        RunDirectoryError: It is a malformed URL, or holds a key; the message does not show it.
    """
    if "://" not in location:
        return str(Path(location).absolute())
    url = urlsplit(location)
    if url.password or (url.scheme == "s3" and url.username):
        raise RunDirectoryError(
            f"{url.scheme}://…@{url.hostname or ''}{url.path}: a URL ends up in logs and manifests, so it must not "
            "hold a key; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the nodes a role"
        )
    if url.scheme == "file":
        if url.netloc:
            raise RunDirectoryError(f"{location}: a file URL has three slashes: file:///{url.netloc}{url.path}")
        return str(Path(unquote(url.path)))
    if not url.netloc or url.fragment:
        raise RunDirectoryError(f"{location}: is no URL of a folder in a bucket; one looks like s3://bucket/runs/first")
    return url._replace(path=url.path.rstrip("/")).geturl()


def below(location: str, *parts: str) -> str:
    """Return the address of something below a normalized one; what follows "?" stays at the end."""
    if "://" not in location:
        return "/".join((location, *parts))
    url = urlsplit(location)
    return url._replace(path="/".join((url.path, *parts))).geturl()


def open_location(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a normalized address, and the path in it.

    Raises:
        RunDirectoryError: There is no such kind of file system, or an option of the URL is unknown.
    """
    if "://" not in location:
        return fs.LocalFileSystem(), location
    url = urlsplit(location)
    try:
        with explained(location, "open"):
            return _s3(url) if url.scheme == "s3" else fs.FileSystem.from_uri(_bounded(url).geturl())
    except pa.ArrowException as error:
        raise RunDirectoryError(f"{location}: cannot open ({reason(error)})") from error


def _bounded(url: SplitResult) -> SplitResult:
    """Set a limit to how long a request to GCS is tried again."""
    if url.scheme not in ("gs", "gcs") or "retry_limit_seconds" in url.query:
        return url
    return url._replace(query="&".join(filter(None, (url.query, f"retry_limit_seconds={GCS_RETRY_SECONDS}"))))


def _s3(url: SplitResult) -> tuple[fs.FileSystem, str]:
    options = dict(parse_qsl(url.query))
    if unknown := options.keys() - set(_S3_OPTIONS):
        raise pa.ArrowInvalid(f"unknown option {', '.join(sorted(unknown))}; there are {', '.join(_S3_OPTIONS)}")
    endpoint = options.get("endpoint_override") or _variable(_ENDPOINT_VARIABLES)
    region = options.get("region") or (endpoint and (_variable(_REGION_VARIABLES) or "us-east-1"))
    filesystem = _s3_filesystem(url.netloc, region, endpoint, options.get("scheme", "https"))
    return filesystem, f"{url.netloc}{unquote(url.path)}"


def _variable(names: tuple[str, ...]) -> str | None:
    return next(filter(None, map(os.environ.get, names)), None)


@lru_cache
def _s3_filesystem(bucket: str, region: str | None, endpoint: str | None, scheme: str) -> fs.FileSystem:
    """Open S3; Arrow's own `from_uri` waits 100 s for a server that says nothing."""
    return fs.S3FileSystem(
        region=region or fs.resolve_s3_region(bucket),
        endpoint_override=endpoint,
        scheme=scheme,
        allow_delayed_open=True,  # a small object is one request instead of three
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=MAX_ATTEMPTS),
    )


def is_bucket(location: str) -> bool:
    """Whether an address is in an object store, which has no folders to create."""
    return location.partition("://")[0] in _BUCKET_SCHEMES


def require_bucket(location: str) -> None:
    """Look whether the bucket of a normalized address is there; elsewhere there is nothing to look at.

    Raises:
        RunDirectoryError: There is none, or it cannot be reached.
    """
    if not is_bucket(location):
        return
    filesystem, path = open_location(location)
    with explained(location, "open"):
        if filesystem.get_file_info(path.partition("/")[0]).type == fs.FileType.NotFound:
            raise OSError("NO_SUCH_BUCKET")


@contextmanager
def explained(address: str, action: str, advice: str = "") -> Iterator[None]:
    """Turn what a file system says into one line.

    Args:
        address: What was read or written.
        action: "open", "read", "write".
        advice: What to do, where no better advice is known.

    Raises:
        RunDirectoryError: Instead of the file system's own errors.
    """
    try:
        yield
    except OSError as error:
        raise RunDirectoryError(f"{address}: cannot {action} ({reason(error)}){advice}") from error


def reason(error: BaseException) -> str:
    """Say in one line why a file system refused."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    said = " ".join(str(error).split())
    return next((known for pattern, known in _REASONS if re.search(pattern, said, re.IGNORECASE)), said[:200])
