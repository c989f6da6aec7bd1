"""The readable docs: a page made from the OpenAPI description, without script."""

import asyncio
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from admin.api.openapi import BASE, TAGS, describe, operations
from admin.api.problems import KINDS
from admin.api.routing import ROLE, TITLE_JA

HERE = Path(__file__).parent
CSP = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
_CODE = re.compile(r"`([^`]+)`")
_pages = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter or field, as the page shows it."""

    name: str
    place: str
    kind: str
    needed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as the page shows it."""

    anchor: str
    method: str
    path: str
    title: str
    title_ja: str
    role: str
    text: str
    parameters: list[Parameter]
    fields: list[Parameter]
    request: str
    status: str
    answer: str


def add_to(app: FastAPI) -> None:
    """Serve the description and the page, open to everybody.

    Both take a second to make and few ask for them: they are made at the first request, beside the
    event loop.
    """
    document = cache(lambda: describe(app))
    page = cache(lambda: render(document(), app.state.api.runtime.settings.public_url))
    css = (HERE / "docs.css").read_text("utf-8")
    headers = {"X-Content-Type-Options": "nosniff"}

    async def openapi(_request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(document), headers=headers)

    async def docs(_request: Request) -> Response:
        made = await asyncio.to_thread(page)
        return HTMLResponse(made, headers={**headers, "Content-Security-Policy": CSP})

    async def style(_request: Request) -> Response:
        return Response(css, media_type="text/css", headers=headers)

    for path, endpoint in (("/openapi.json", openapi), ("/docs", docs), ("/docs.css", style)):
        app.add_route(path, endpoint, include_in_schema=False)


def render(document: dict[str, Any], public_url: str) -> str:
    """The page of a description."""
    groups: dict[str, list[Operation]] = {name: [] for name in TAGS}
    for method, path, operation in operations(document):
        groups[operation["tags"][0]].append(
            _operation(method, path, operation, document, public_url)
        )
    return _pages.get_template("docs.html").render(
        groups=groups, tags=TAGS, kinds=KINDS, base=BASE, rich=_rich, url=public_url + BASE
    )


def _operation(
    method: str, path: str, operation: dict[str, Any], document: dict[str, Any], public_url: str
) -> Operation:
    schemas = document["components"]["schemas"]
    status, answer = next((s, a) for s, a in operation["responses"].items() if s.startswith("2"))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        title=operation["summary"],
        title_ja=operation[TITLE_JA],
        role=operation[ROLE],
        text=operation["description"].rpartition("\n\nLeast role:")[0],
        parameters=[_parameter(p, schemas) for p in operation.get("parameters", [])],
        fields=_fields(body.get("schema", {}), schemas),
        request=_curl(method, path, operation, body.get("example"), public_url),
        status=status,
        answer=_json(answer.get("content", {}).get("application/json", {}).get("example")),
    )


def _parameter(parameter: dict[str, Any], schemas: dict[str, Any]) -> Parameter:
    schema = parameter["schema"]
    text = parameter.get("description") or schema.get("description", "")
    return Parameter(
        parameter["name"],
        parameter["in"],
        _kind(schema, schemas),
        parameter.get("required", False),
        text,
    )


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> list[Parameter]:
    target = _target(schema, schemas)
    needed = set(target.get("required", []))
    return [
        Parameter(name, "body", _kind(inner, schemas), name in needed, inner.get("description", ""))
        for name, inner in target.get("properties", {}).items()
    ]


def _target(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (
        schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    )
    return found


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A schema in a word or two."""
    schema = _target(schema, schemas)
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(inner, schemas) for inner in schema["anyOf"])
        return " | ".join(kind for kind in kinds if kind != "null")
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_kind(schema['items'], schemas)}]"
    bounds = [str(schema[b]) for b in ("minimum", "maximum") if b in schema]
    word = schema.get("format") or schema.get("type", "any")
    small = bounds and len(bounds[-1]) < len("1000000000")
    return f"{word} {'–'.join(bounds)}" if small and len(bounds) > 1 else str(word)


_PATH_PARAMETER = re.compile(r"{(\w+)}")


def _curl(
    method: str,
    path: str,
    operation: dict[str, Any],
    example: Any,  # noqa: ANN401
    public_url: str,
) -> str:
    lines = ["curl" if method == "get" else f"curl -X {method.upper()}"]
    lines.append(f"'{public_url}{BASE}{_PATH_PARAMETER.sub(_sample, path)}'")
    lines.append('-H "Authorization: Bearer $OKAERI_TOKEN"')
    names = {p["name"] for p in operation.get("parameters", [])}
    if "Idempotency-Key" in names:
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if "If-Match" in names and method in {"put", "patch"}:
        lines.append("-H 'If-Match: \"3\"'")
    if example is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d '{_json(example)}'"]
    if "text/csv" in operation.get("requestBody", {}).get("content", {}):
        lines += ["-H 'Content-Type: text/csv'", "--data-binary @FILE.csv"]
    return " \\\n  ".join(lines)


def _sample(parameter: re.Match[str]) -> str:
    return {"id": "12", "key": "welcome"}.get(parameter[1], parameter[1].upper())


def _json(example: Any) -> str:  # noqa: ANN401
    return "" if example is None else json.dumps(example, ensure_ascii=False, indent=2)


def _rich(text: str) -> Markup:
    """Paragraphs and `code` of a description."""
    paragraphs = [str(escape(part)) for part in text.strip().split("\n\n") if part]
    html = "".join("<p>" + _CODE.sub(r"<code>\1</code>", part) + "</p>" for part in paragraphs)
    return Markup(html)  # noqa: S704 - escaped above
