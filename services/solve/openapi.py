"""The OpenAPI schema: what FastAPI finds out, the operator's limits, every error, and what a stream looks like."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from metamath_ray.config import SolveConfig
from services.solve.envelope import GUARDED_PREFIXES
from services.solve.limits import write_limits
from services.solve.schemas import ErrorBody, OpenAIErrorBody, SolveResponse

_DESCRIPTIONS = {
    401: "No valid key",
    413: "Body too long",
    422: "Malformed, or not possible as asked",
    429: "The key's allowance is used up; see Retry-After",
    500: "Internal error",
    503: "Overloaded, or the models do not answer; see Retry-After",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description} for status, description in _DESCRIPTIONS.items()
}

OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    **{status: {"model": OpenAIErrorBody, "description": text} for status, text in _DESCRIPTIONS.items()},
    400: {"model": OpenAIErrorBody, "description": _DESCRIPTIONS[422]},
    404: {"model": OpenAIErrorBody, "description": "No such model"},
}

EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "contentMediaType": "application/json"}},
}
"""Of one server-sent event."""

SOLVE_RESPONSE: dict[str, Any] = {
    "model": SolveResponse,
    "description": "The answer, and how it came about",
    "content": {
        "text/event-stream": {
            "schema": EVENT_SCHEMA,
            "example": 'event: sample\ndata: {"index":0,"text":"3 + 4 = 7","answer":"7"}\n\n',
        }
    },
}


def describe(api: FastAPI, config: SolveConfig) -> None:
    """Have the application answer /openapi.json with its limits written in."""

    def schema() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _schema(api, config)
        return api.openapi_schema

    api.openapi = schema  # type: ignore[method-assign]


def _schema(api: FastAPI, config: SolveConfig) -> dict[str, Any]:
    schema = get_openapi(title=api.title, description=api.description, version=api.version, routes=api.routes)
    write_limits(schema, config)
    schemas = schema["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if config.access.keys:
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path in schema["paths"]:
            if path.startswith(GUARDED_PREFIXES):
                for operation in schema["paths"][path].values():
                    operation["security"] = [{"key": []}]
    return schema
