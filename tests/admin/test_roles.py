"""Who may do what: a table, and no way around it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from admin import tokens
from admin.api.routing import AdminRoute, router
from admin.models import ROLES, ApiToken
from core.db import table
from core.runtime import Runtime
from tests.admin.conftest import Callers, problem

LEAST = {
    ("GET", "/me"): "viewer",
    ("GET", "/channels"): "viewer",
    ("GET", "/channels/{id}"): "viewer",
    ("POST", "/channels"): "owner",
    ("PATCH", "/channels/{id}"): "owner",
    ("GET", "/friends"): "viewer",
    ("GET", "/friends/{id}"): "viewer",
    ("GET", "/rank-policy"): "viewer",
    ("PUT", "/rank-policy"): "marketer",
    ("POST", "/rank-policy/dry-run"): "marketer",
    ("GET", "/ranks"): "viewer",
    ("POST", "/imports/customers"): "marketer",
    ("POST", "/imports/purchases"): "marketer",
    ("GET", "/import-mappings"): "viewer",
    ("GET", "/import-mappings/{key}"): "viewer",
    ("PUT", "/import-mappings/{key}"): "marketer",
    ("DELETE", "/import-mappings/{key}"): "marketer",
    ("GET", "/customers/{id}/rank"): "viewer",
    ("GET", "/customers/{id}/points"): "viewer",
    ("POST", "/customers/{id}/points"): "clerk",
    ("POST", "/customers/{id}/points/owed"): "marketer",
    ("GET", "/points-policy"): "viewer",
    ("PUT", "/points-policy"): "marketer",
    ("GET", "/reports/point-liability"): "viewer",
    ("GET", "/purchases"): "viewer",
    ("GET", "/purchases/{id}"): "viewer",
    ("GET", "/customers/{id}/purchases"): "viewer",
    ("POST", "/purchases"): "clerk",
    ("POST", "/purchases/batch"): "clerk",
    ("PATCH", "/purchases/{id}"): "clerk",
    ("POST", "/purchases/{id}/refund"): "clerk",
    ("GET", "/sources"): "owner",
    ("GET", "/sources/{key}"): "owner",
    ("POST", "/sources"): "owner",
    ("PATCH", "/sources/{key}"): "owner",
    ("DELETE", "/sources/{key}"): "owner",
    ("GET", "/customers"): "viewer",
    ("POST", "/customers"): "clerk",
    ("GET", "/customers/{id}"): "viewer",
    ("PATCH", "/customers/{id}"): "clerk",
    ("GET", "/customers/{id}/activities"): "viewer",
    ("GET", "/customers/{id}/timeline"): "viewer",
    ("PUT", "/customers/{id}/tags/{tag}"): "clerk",
    ("DELETE", "/customers/{id}/tags/{tag}"): "clerk",
    ("GET", "/customers/{id}/consents"): "viewer",
    ("PUT", "/customers/{id}/consents/{key}"): "clerk",
    ("POST", "/customers/{id}/merge"): "clerk",
    ("GET", "/attributes"): "viewer",
    ("GET", "/attributes/{key}"): "viewer",
    ("PUT", "/attributes/{key}"): "marketer",
    ("DELETE", "/attributes/{key}"): "marketer",
    ("GET", "/topics"): "viewer",
    ("GET", "/topics/{key}"): "viewer",
    ("PUT", "/topics/{key}"): "marketer",
    ("DELETE", "/topics/{key}"): "marketer",
    ("GET", "/doubles"): "viewer",
    ("POST", "/doubles/{id}/merge"): "clerk",
    ("POST", "/doubles/{id}/dismiss"): "clerk",
    ("GET", "/merges"): "viewer",
    ("POST", "/merges/{id}/undo"): "owner",
    ("GET", "/activities"): "viewer",
    ("POST", "/activities"): "clerk",
    ("POST", "/activities/batch"): "clerk",
    ("GET", "/coupons"): "viewer",
    ("GET", "/coupons/{key}"): "viewer",
    ("GET", "/coupons/{key}/report"): "viewer",
    ("GET", "/reports/coupons"): "viewer",
    ("POST", "/coupons"): "marketer",
    ("PUT", "/coupons/{key}"): "marketer",
    ("DELETE", "/coupons/{key}"): "marketer",
    ("POST", "/coupons/{key}/issue"): "marketer",
    ("POST", "/coupons/{key}/codes"): "marketer",
    ("POST", "/coupons/{key}/line-coupon"): "marketer",
    ("POST", "/coupons/{key}/line-coupon/close"): "marketer",
    ("GET", "/coupons/check"): "clerk",
    ("GET", "/customers/lookup"): "clerk",
    ("POST", "/coupons/redeem"): "clerk",
    ("POST", "/redemptions/{id}/undo"): "clerk",
    ("GET", "/redemptions"): "viewer",
    ("GET", "/customers/{id}/coupons"): "viewer",
    ("GET", "/linking-policy"): "viewer",
    ("PUT", "/linking-policy"): "marketer",
    ("GET", "/links"): "viewer",
    ("GET", "/customers/{id}/links"): "viewer",
    ("POST", "/links"): "clerk",
    ("POST", "/links/{id}/unlink"): "clerk",
    ("POST", "/link-nonces"): "clerk",
    ("GET", "/pending-links"): "viewer",
    ("GET", "/flows"): "viewer",
    ("GET", "/flows/schema.json"): "viewer",
    ("GET", "/flows/{key}"): "viewer",
    ("POST", "/flows"): "marketer",
    ("PUT", "/flows/{key}"): "marketer",
    ("POST", "/flows/{key}/publish"): "marketer",
    ("POST", "/flows/{key}/pause"): "marketer",
    ("POST", "/flows/{key}/resume"): "marketer",
    ("POST", "/flows/{key}/enrol"): "marketer",
    ("GET", "/flows/{key}/report"): "viewer",
    ("GET", "/messages"): "viewer",
    ("GET", "/messages/{key}"): "viewer",
    ("POST", "/messages"): "marketer",
    ("PUT", "/messages/{key}"): "marketer",
    ("DELETE", "/messages/{key}"): "marketer",
    ("POST", "/messages/preview"): "marketer",
    ("POST", "/messages/test"): "marketer",
    ("GET", "/text-rules"): "viewer",
    ("GET", "/text-rules/{key}"): "viewer",
    ("PUT", "/text-rules/{key}"): "marketer",
    ("DELETE", "/text-rules/{key}"): "marketer",
    ("GET", "/deliveries"): "viewer",
    ("GET", "/deliveries/{id}"): "viewer",
    ("POST", "/deliveries/{id}/retry"): "marketer",
    ("GET", "/quota"): "viewer",
    ("GET", "/clock"): "viewer",
    ("POST", "/clock"): "owner",
    ("GET", "/tokens"): "owner",
    ("POST", "/tokens"): "owner",
    ("DELETE", "/tokens/{id}"): "owner",
    ("GET", "/audit-log"): "owner",
    ("GET", "/jobs"): "viewer",
}
OPEN_TO_ALL = {"/openapi.json", "/docs", "/docs.css"}


def routes_of(api: FastAPI) -> Iterator[Any]:
    for context in iter_route_contexts(api.routes):
        yield context.route


async def test_every_route_states_its_least_role_as_the_table_does(callers: Callers) -> None:
    found = {}
    for route in routes_of(callers.api):
        if isinstance(route, APIRoute):
            assert isinstance(route, AdminRoute), route.path
            for method in route.methods or ():
                found[method, route.path] = route.least_role
        else:
            assert route.path in OPEN_TO_ALL

    assert found == LEAST


async def test_lower_roles_are_turned_away_and_higher_ones_are_not(callers: Callers) -> None:
    for method, path in sorted(LEAST):
        least = LEAST[method, path]
        url = path.format(id=999, key="absent", tag="absent")
        if (method, path) == ("DELETE", "/tokens/{id}"):
            url = "/tokens/999"
        for role in ROLES:
            response = await callers[role].request(method, url, json={})
            if ROLES.index(role) < ROLES.index(least):
                assert problem(response, 403)["required_role"] == least
            else:
                assert response.status_code not in {401, 403}, (role, response.text)

        response = await callers.stranger.request(method, url, json={})
        problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_route_without_a_role_is_open_to_nobody(callers: Callers) -> None:
    forgotten = router("me")

    @forgotten.get("/forgotten")
    async def forget() -> dict[str, str]:
        raise AssertionError("never reached")

    callers.api.include_router(forgotten)

    problem(await callers["owner"].get("/forgotten"), 403)
    problem(await callers.stranger.get("/forgotten"), 401)


NO_TOKENS: list[str] = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer okaeri_unknown",
    "Basic b3duZXI6b3duZXI=",
    "Bearer a b",
    "Bearer " + "x" * 5000,
    "Bearer \xff\xfe",
    "bearer",
]


async def test_what_is_no_token_gets_in_nowhere(callers: Callers) -> None:
    for header in NO_TOKENS:
        headers = {b"Authorization": header.encode("latin-1")}
        problem(await callers.stranger.get("/me", headers=headers), 401)


async def test_the_scheme_may_be_written_in_any_case(callers: Callers) -> None:
    headers = {"Authorization": f"bEARER {callers.keys['clerk']}"}
    response = await callers.stranger.get("/me", headers=headers)
    assert response.json() == {"name": "clerk", "role": "clerk"}


async def test_an_expired_token_is_as_good_as_none(
    callers: Callers, runtime: Runtime, now: datetime
) -> None:
    until = now + timedelta(hours=1)
    async with runtime.db.transaction() as session:
        text = await tokens.create(session, name="短期", role="clerk", now=now, expires_at=until)
    client = callers.client(text)
    assert (await client.get("/me")).status_code == 200

    await callers["owner"].post("/clock", json={"advance_seconds": 3600})

    problem(await client.get("/me"), 401)


async def test_a_caller_without_a_token_is_told_nothing_about_the_body(callers: Callers) -> None:
    response = await callers.stranger.post(
        "/tokens", content=b"{not json", headers={"Content-Type": "application/json"}
    )
    problem(response, 401)


async def test_only_the_hash_of_a_token_is_stored(callers: Callers, runtime: Runtime) -> None:
    async with runtime.db.reading() as session:
        rows = list(await session.execute(table(ApiToken).select()))
    stored = str(rows)
    assert len(rows) == len(ROLES)
    assert not any(text in stored or text[10:] in stored for text in callers.keys.values())
