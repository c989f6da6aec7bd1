"""The description is valid, complete and true: examples fit, documented input never breaks us."""

from typing import Any

import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31

from admin.api.openapi import operations
from tests.admin.conftest import Callers, Cast

EXAMPLES = 6
NO_ADVANCE = {("post", "/clock"), ("delete", "/tokens/{id}")}  # would end the caller


@pytest.fixture
async def document(callers: Callers) -> dict[str, Any]:
    response = await callers.stranger.get("/openapi.json")
    found: dict[str, Any] = response.json()
    return found


def check(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


async def test_the_description_is_openapi_3_1_for_everybody(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "/api/v1"}]
    assert document["security"] == [{"token": []}]
    jsonschema.Draft202012Validator(OPENAPI_31).validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_every_operation_says_what_a_reader_needs(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["x-title-ja"], where
        assert operation["x-least-role"] in operation["description"], where
        assert len(operation["description"]) > 40, where
        problems = {"401", "403", "422", "500", "503"}
        assert problems <= operation["responses"].keys(), where
        headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
        if method in {"put", "patch"}:
            assert "If-Match" in headers, where
        reads_only = {"/messages/preview", "/rank-policy/dry-run", "/clock"}
        assert ("Idempotency-Key" in headers) == (method == "post" and path not in reads_only), (
            where
        )


async def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for method, path, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [a.get("content", {}) for a in operation["responses"].values()]
        for content in contents:
            for kind, media in content.items():
                if path == "/flows/schema.json":
                    continue
                assert "example" in media, f"{method} {path} {kind}"
                check(media["example"], media["schema"], document)
                seen += 1
    for answer in document["components"]["responses"].values():
        (media,) = answer["content"].values()
        check(media["example"], media["schema"], document)
    assert seen > 50


async def test_no_schema_shows_a_secret(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith(("Read", "Summary")):
            hidden = {"secret", "access_token", "token", "token_hash"}
            assert not hidden & schema.get("properties", {}).keys(), name


async def test_documented_input_never_breaks_anything(
    callers: Callers, cast: Cast, document: dict[str, Any]
) -> None:
    for case in invented(document):
        where = (case.operation.label, case.body, case.query)
        response = await send(callers["owner"], case)
        assert response.status_code < 500, (where, response.text)
        responses = document["paths"][case.operation.path][case.operation.method]["responses"]
        status = str(response.status_code)
        assert status in responses, (where, response.text)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            check(response.json(), {"$ref": "#/components/schemas/Problem"}, document)
        elif response.content:
            schema = responses[status]["content"]["application/json"]["schema"]
            check(response.json(), schema, document)


def invented(document: dict[str, Any]) -> list[Any]:
    """Requests that the description allows, the same in every run; made before any is sent."""
    described = schemathesis.openapi.from_dict(document).get_all_operations()
    known: list[Any] = [found.ok() for found in described]  # type: ignore[union-attr]
    cases: list[Any] = []

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def collect(data: st.DataObject) -> None:
        cases.extend(
            data.draw(operation.as_strategy())
            for operation in known
            if (operation.method, operation.path) not in NO_ADVANCE
        )

    collect()
    return cases


async def send(client: httpx2.AsyncClient, case: Any) -> httpx2.Response:
    headers = {
        name: value
        for name, value in dict(case.headers or {}).items()
        if value.isascii() and value.isprintable() and name.lower() != "authorization"
    }
    body: dict[str, Any] = {}
    if case.media_type == "application/json":
        body = {"json": case.body}
    elif case.media_type is not None:
        content = case.body if isinstance(case.body, bytes) else str(case.body).encode()
        body = {"content": content}
        headers["Content-Type"] = case.media_type
    return await client.request(
        case.method, case.formatted_path, params=dict(case.query or {}), headers=headers, **body
    )
