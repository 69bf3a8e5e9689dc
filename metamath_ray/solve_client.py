"""A client of the solve service: one question, its server-sent events as they come."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx

from metamath_ray.errors import AccessDenied, BackPressure, ConfigError, EngineUnavailable, RequestRejected, RunFailed

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""The service says something at least every 15 seconds."""

Event = tuple[str, dict[str, Any]]
"""Name and data: "sample", "clusters", "score", and "answer", which is the last."""


def solve_events(
    url: str, body: Mapping[str, Any], *, api_key: str | None, transport: httpx.BaseTransport | None = None
) -> Iterator[Event]:
    """Ask one question and yield what happens.

    Args:
        url: The service's address.
        body: As POST /v1/solve takes it.
        api_key: Where the service asks for one.
        transport: How to reach it; over the network by default.

    Raises:
        ConfigError: Nobody answers at the address, or it is no solve service.
        AccessDenied: The key is missing or wrong.
        RequestRejected: The request is at fault.
        BackPressure: The service is full, or the key's allowance used up.
        EngineUnavailable: The service, or its model, does not answer.
        RunFailed: The stream ended without an answer.
    """
    headers = {"accept": "text/event-stream", **({"authorization": f"Bearer {api_key}"} if api_key else {})}
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(timeout=timeout, transport=transport) as client,
            client.stream("POST", f"{url.rstrip('/')}/v1/solve", json=dict(body), headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise _error(response.status_code, _json(response.text), response.headers.get("retry-after"))
            name = ""
            for name, data in read_events(response.iter_lines()):
                if name == "error":
                    raise EngineUnavailable(_message(data))
                yield name, data
            if name != "answer":
                raise RunFailed(f"{url} ended its answer before the end; try again")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ConfigError(f"nobody answers at {url}; start the service with `metamath-ray serve`") from error
    except httpx.HTTPError as error:
        raise EngineUnavailable(f"the connection to {url} broke off ({type(error).__name__}); try again") from error


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read server-sent events whose data is JSON; comments and what the end cuts off are left out."""
    name = "message"
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield name, _json("\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


def _error(status: int, body: Mapping[str, Any], retry_after: str | None) -> Exception:
    said = _message(body)
    again = f"; again in {retry_after} s" if retry_after else ""
    match status:
        case httpx.codes.UNAUTHORIZED | httpx.codes.FORBIDDEN:
            return AccessDenied(f"{said} (the key comes from the variable that api_key_env names)")
        case httpx.codes.TOO_MANY_REQUESTS | httpx.codes.SERVICE_UNAVAILABLE:
            return BackPressure(f"{said}{again}")
        case httpx.codes.NOT_FOUND | httpx.codes.METHOD_NOT_ALLOWED:
            return ConfigError(f"no solve service there ({status}); check url")
        case _ if status < httpx.codes.INTERNAL_SERVER_ERROR:
            return RequestRejected(said)
        case _:
            return EngineUnavailable(f"{status}: {said}")


def _message(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "no reason given"


def _json(text: str) -> dict[str, Any]:
    """Read an object; {} where it is none, as what stands between us and the service may answer anything."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
