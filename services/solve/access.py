"""Who may call and how often: hashed keys, and a token bucket of requests and one of tokens for each key."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from metamath_ray.config import AccessConfig
from metamath_ray.errors import ConfigError
from services.solve.errors import ErrorType, Refusal

KEYS_VARIABLE = "METAMATH_RAY_API_KEYS"
ANONYMOUS = "anonymous"
"""Everybody's name where there are no keys."""
MINUTE = 60.0


def with_environment(access: AccessConfig, environment: Mapping[str, str]) -> AccessConfig:
    """Add the keys of METAMATH_RAY_API_KEYS ("name:hash,…") to those of the configuration.

    Raises:
        ConfigError: The variable is malformed; the message does not repeat it.
    """
    entries = [entry.strip() for entry in environment.get(KEYS_VARIABLE, "").split(",") if entry.strip()]
    pairs = [entry.partition(":") for entry in entries]
    try:
        keys = {**access.keys, **{name.strip(): digest.strip() for name, _, digest in pairs}}
        return AccessConfig.model_validate({**access.model_dump(), "keys": keys})
    except ValueError:
        raise ConfigError(
            f"{KEYS_VARIABLE}: expected name:hash,name:hash,… with SHA-256 hashes; make one with "
            "`printf %s KEY | sha256sum`"
        ) from None


class KeyRing:
    """The hashes of the keys; a key itself is held nowhere."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = dict(hashes)

    def caller(self, authorization: str | None) -> str:
        """Return the name under which a key is known.

        Every hash is compared, and each in a time that does not depend on where it differs.

        Args:
            authorization: The request's header, "Bearer KEY".

        Raises:
            Refusal: There are keys, and this is none of them.
        """
        if not self._hashes:
            return ANONYMOUS
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = [name for name, stored in self._hashes.items() if hmac.compare_digest(digest, stored)]
        if not found or not key.strip() or scheme.lower() != "bearer":
            raise Refusal(ErrorType.AUTHENTICATION, "no valid key; send `Authorization: Bearer KEY`")
        return found[0]


@dataclass(slots=True)
class _Bucket:
    """What is left of a minute's allowance; below zero it is owed."""

    level: float
    at: float


class RateLimiter:
    """Token buckets by caller: a call is let in while anything is left, and what it takes beyond that is owed.

    So a batch larger than the allowance is possible, and a request whose tokens are known only at its end is counted in
    full. A bucket holds a minute's allowance and fills evenly.
    """

    def __init__(self, access: AccessConfig, *, clock: Callable[[], float]) -> None:
        self._limits = {"questions": access.requests_per_minute, "tokens": access.tokens_per_minute}
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def admit(self, caller: str, *, num_questions: int) -> None:
        """Let a call in, and count its questions.

        Raises:
            Refusal: The caller's allowance is used up; says when to come again.
        """
        wait = max(self._wait(caller, unit) for unit in self._limits)
        if wait > 0:
            raise Refusal(ErrorType.RATE_LIMITED, "the key's allowance for this minute is used up", ceil(wait))
        self._take(caller, "questions", num_questions)

    def charge(self, caller: str, *, num_tokens: int) -> None:
        """Count tokens that were used."""
        self._take(caller, "tokens", num_tokens)

    def _wait(self, caller: str, unit: str) -> float:
        """Return the seconds until the bucket holds something, at least one question or token."""
        limit = self._limits[unit]
        if limit is None:
            return 0.0
        return max(0.0, 1 - self._bucket(caller, unit, limit).level) * MINUTE / limit

    def _take(self, caller: str, unit: str, number: int) -> None:
        limit = self._limits[unit]
        if limit is not None:
            self._bucket(caller, unit, limit).level -= number

    def _bucket(self, caller: str, unit: str, limit: int) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault((caller, unit), _Bucket(level=limit, at=now))
        bucket.level = min(limit, bucket.level + (now - bucket.at) * limit / MINUTE)
        bucket.at = now
        return bucket
