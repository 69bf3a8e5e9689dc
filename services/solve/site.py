"""The page and the description of the API: files from this folder and a document made of the OpenAPI schema."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from services.solve.errors import JsonResponse
from services.solve.openapi import ERRORS
from services.solve.schemas import Html, TypesetBody, dump
from services.solve.typeset import typeset

PAGE_FOLDER = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
REVALIDATE = "no-cache"
"""A browser may keep the file, and asks each time whether it is still the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of the page, held in memory."""

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """Identity of its content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    async def response(self, request: Request) -> Response:
        """Return the file, or 304 to a browser that has it already."""
        headers = {
            "etag": self.etag,
            "cache-control": REVALIDATE,
            "content-security-policy": CONTENT_SECURITY_POLICY,
        }
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if self.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def site_router(api: FastAPI) -> APIRouter:
    """Return the routes of the page, of what it loads, and of the API's description."""
    router, files = APIRouter(tags=["Page"]), read_page()

    router.add_api_route("/", files.pop("index.html").response, include_in_schema=False)
    for name, file in files.items():
        router.add_api_route(f"/page/{name}", file.response, include_in_schema=False)

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return await docs_page(api.openapi()).response(request)

    @router.post("/page/typeset", response_model=Html, responses=ERRORS, summary="Set mathematics")
    async def typeset_text(body: TypesetBody) -> Response:
        """Turn text with LaTeX into HTML with MathML."""
        return JsonResponse(dump(Html(html=await asyncio.to_thread(typeset, body.text))))

    return router


def read_page() -> dict[str, Asset]:
    """Read the page's files, by name."""
    files = [file for file in sorted(PAGE_FOLDER.iterdir()) if file.suffix in MEDIA_TYPES]
    return {file.name: Asset(content=file.read_bytes(), media_type=MEDIA_TYPES[file.suffix]) for file in files}


def docs_page(schema: Mapping[str, Any]) -> Asset:
    """Describe the API as one document that needs no script and no other host."""
    info = schema["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="page/page.css">'
    )
    body = (
        f"<title>API · {escape(info['title'])}</title></head><body><main><h1>{escape(info['title'])}: API</h1>"
        f"<p>{escape(info['description'])}</p>"
        '<p><a href=".">The page</a> · <a href="openapi.json">OpenAPI schema</a></p>'
        f"{''.join(operations)}{_schemas(schema['components']['schemas'])}</main></body></html>"
    )
    return Asset(content=(head + body).encode(), media_type=MEDIA_TYPES[".html"])


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    statuses = ", ".join(f"{status} {found['description']}" for status, found in operation["responses"].items())
    described = "".join(f"<p>{escape(line)}</p>" for line in operation.get("description", "").split("\n\n"))
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p><b>{escape(operation['summary'])}</b></p>"
        f"{described}{_body(operation)}<p>Responses: {escape(statuses)}</p></section>"
    )


def _body(operation: Mapping[str, Any]) -> str:
    reference = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" not in reference:
        return ""
    name = reference["$ref"].rpartition("/")[2]
    return f'<p>Body: <a href="#{name}">{name}</a></p>'


def _schemas(schemas: Mapping[str, Any]) -> str:
    return "".join(_schema(name, schema) for name, schema in schemas.items() if "properties" in schema)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(field)}</code></th><td><code>{escape(_type(one))}</code></td>'
        f"<td>{escape(one.get('description', ''))}</td></tr>"
        for field, one in schema["properties"].items()
    )
    examples = "".join(f"<pre>{escape(json.dumps(one, indent=2))}</pre>" for one in schema.get("examples", []))
    return (
        f'<section id="{escape(name)}"><h2>{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
        f"<table>{rows}</table>{examples}</section>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a field holds."""
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    most = f" ≤ {schema['maximum']:g}" if "maximum" in schema else ""
    return f"{schema.get('type', 'any')}{most}"
