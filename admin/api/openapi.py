"""The OpenAPI description: what the routes say, with roles, examples and problems written out."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from admin.api import problems
from admin.api.problems import KINDS, MEDIA_TYPE, Kind
from admin.api.routing import ROLE
from flows.definition import FlowDefinition

BASE = "/api/v1"
REF = "#/components/schemas/"
TAGS = {
    "me": ("自分のトークン", "The token that asks"),
    "channels": ("アカウント", "LINE official accounts of this shop"),
    "friends": ("友だち", "LINE users as seen on a channel"),
    "customers": ("顧客", "The person: one record, whatever accounts and purchases they have"),
    "attributes": ("顧客属性", "What the shop notes on its customers, and of what type"),
    "topics": ("トピック", "What customers can choose to hear about"),
    "doubles": ("重複候補", "Records that may be one person, for staff to look at"),
    "merges": ("顧客の統合", "Records that became one, and undoing that"),
    "linking": ("会員連携", "Which friend is which member, and the ways there"),
    "points": ("ポイント", "Balances, the ledger, corrections, the policy, what is owed"),
    "ranks": ("会員ランク", "Tiers, the policy that earns them, who would move"),
    "coupons": ("クーポン", "Definitions, copies, codes, redemptions, LINE's own coupons"),
    "purchases": ("購入", "Orders from tills, carts and other systems, their status and refunds"),
    "sources": ("購入の連携元", "Systems that send orders by webhook, and their secrets"),
    "imports": ("CSV取り込み", "CSV files of customers and orders, and which column is what"),
    "activities": ("行動履歴", "What customers did and what happened to them"),
    "flows": ("シナリオ", "What is sent after a trigger, as versioned steps"),
    "messages": ("メッセージ", "Reusable messages with placeholders"),
    "text-rules": ("自動応答", "The shop's own answers to what customers type"),
    "deliveries": ("配信", "Each message for each friend, and what became of it"),
    "quota": ("配信通数", "LINE's monthly limit and what is used of it"),
    "webhook-events": ("届いた通知", "What LINE has told us, and what could not be handled"),
    "clock": ("時計", "The shop's time"),
    "tokens": ("トークン", "Who may use this API"),
    "audit-log": ("操作の記録", "Who changed what"),
    "jobs": ("定期処理", "What the timetable has run"),
}
INTRODUCTION = """\
The admin API of Okaeri. Send `Authorization: Bearer TOKEN`; `okaeri token create NAME --role ROLE`
makes a token. Roles: viewer < clerk < marketer < owner; `x-least-role` says which one an operation
needs at least.

Lists answer `{"items": […], "next_cursor": …}`, the newest first; give `next_cursor` back as
`cursor` for the next page. A POST takes an `Idempotency-Key`, so that repeating it is safe for a
week; a repeated answer carries `Idempotency-Replayed: true`. What people edit has a `version`, told
as `ETag` and asked for as `If-Match`. Moments are ISO 8601 with a zone. Errors are
`application/problem+json` (RFC 9457).
"""
_ERROR = {
    "type": "object",
    "required": ["path", "message", "message_ja"],
    "properties": {
        "path": {"type": "string", "description": "Where: `steps[1].wait.days`"},
        "message": {"type": "string"},
        "message_ja": {"type": "string"},
        "line": {"type": "integer"},
        "column": {"type": "integer"},
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "title_ja", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [kind.type for kind in KINDS]},
        "title": {"type": "string"},
        "title_ja": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "required_role": {"type": "string"},
        "current_version": {"type": "integer"},
        "errors": {"type": "array", "items": {"$ref": f"{REF}Fault"}},
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole description, an OpenAPI 3.1 document."""
    tags = [{"name": n, "description": en, "x-title-ja": ja} for n, (ja, en) in TAGS.items()]
    document = get_openapi(
        title=app.title, version="1", openapi_version="3.1.0", description=INTRODUCTION, tags=tags,
        routes=app.routes, servers=[{"url": BASE}],
    )  # fmt: skip
    components = document["components"]
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    _restore_nulls(components["schemas"])
    _add_schemas(components["schemas"])
    components["responses"] = {kind.name: _response(kind) for kind in KINDS}
    for method, path, operation in operations(document):
        _complete(method, path, operation, components["schemas"])
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:  # noqa: ANN401
    """An example of what a schema describes; None where nothing says one."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(REF)], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("type") == "array":
        item = example_of(schema["items"], schemas)
        return [] if item is None else [item]
    if "properties" in schema:
        return {name: example_of(inner, schemas) for name, inner in schema["properties"].items()}
    return None


def _restore_nulls(schemas: dict[str, Any]) -> None:
    """Put back the nulls that the framework leaves out of examples, in the fields' order."""
    for schema in schemas.values():
        if "examples" not in schema or "properties" not in schema:
            continue
        needed = schema.get("required", [])
        schema["examples"] = [
            {n: example.get(n) for n in schema["properties"] if n in example or n in needed}
            for example in schema["examples"]
        ]


def _add_schemas(schemas: dict[str, Any]) -> None:
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    definition = FlowDefinition.model_json_schema(ref_template=REF + "{model}")
    schemas.update(definition.pop("$defs", {}))
    schemas["FlowDefinition"] = definition
    schemas["Problem"], schemas["Fault"] = _PROBLEM, _ERROR


def _response(kind: Kind) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": kind.type, "title": kind.title, "title_ja": kind.title_ja, "status": kind.status,
        "detail": kind.explanation, "request_id": "4f6d1c0e2a704c7e9a541f1f0c2b7c11",
    }  # fmt: skip
    if kind is problems.INVALID:
        example["errors"] = [
            {
                "path": "kind",
                "message": "field 'kind' is missing",
                "message_ja": "「kind」がありません",
            }
        ]
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}, "example": example}}
    return {"description": f"{kind.title}. {kind.explanation}", "content": content}


def _complete(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    role = operation[ROLE]
    operation["description"] = (
        f"{operation.get('description', '')}\n\nLeast role: `{role}`.".strip()
    )
    answers = operation["responses"]
    answers.pop("422", None)
    for content in _contents(operation):
        for media in content.values():
            if "example" not in media:
                example = example_of(media.get("schema", {}), schemas)
                if example is not None:
                    media["example"] = example
    for kind in _possible(method, path, operation):
        answers[str(kind.status)] = {"$ref": f"#/components/responses/{kind.name}"}


def _contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield operation.get("requestBody", {}).get("content", {})
    for answer in operation["responses"].values():
        yield answer.get("content", {})


def _possible(method: str, path: str, operation: dict[str, Any]) -> Iterator[Kind]:
    """The problems that an operation may answer with."""
    headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
    yield from (problems.UNAUTHORIZED, problems.FORBIDDEN, problems.INVALID)
    if "{" in path or method == "put":
        yield problems.NOT_FOUND
    if "requestBody" in operation:
        yield from (problems.MALFORMED, problems.TOO_LARGE, problems.MEDIA)
    if method != "get":
        yield problems.CONFLICT
    if "If-Match" in headers:
        yield problems.STALE
        if method in {"put", "patch"}:
            yield problems.PRECONDITION
    yield from (problems.INTERNAL, problems.UNAVAILABLE)
