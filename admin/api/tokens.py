"""API tokens: list, create, revoke."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import select

from admin import tokens
from admin.api.fields import Given, Moment, Name, PathSmallId, Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from admin.models import ApiToken
from core.db import table

routes = router("tokens")

Role = Literal["viewer", "clerk", "marketer", "owner"]
_EXAMPLE = {
    "id": 3, "name": "レジ", "role": "clerk", "hint": "okaeri_…x7Qk",
    "created_at": "2026-11-22T01:00:00Z", "last_used_at": "2026-11-22T02:30:00Z",
    "expires_at": None, "revoked_at": None,
}  # fmt: skip


class TokenRead(Told):
    """A token, without its text."""

    model_config = like(_EXAMPLE)

    id: int
    name: str
    role: Role
    hint: str = Field(description="The ends of its text")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute")
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenCreated(TokenRead):
    """A new token, with its text: the only time it can be read."""

    model_config = like(_EXAMPLE | {"last_used_at": None, "token": "okaeri_EXAMPLE-NOT-A-TOKEN"})

    token: str


class TokenCreate(Given):
    """A token to be made."""

    model_config = like(
        {"name": "レジ", "role": "clerk", "expires_at": "2027-11-22T00:00:00+09:00"}
    )

    name: Name
    role: Role
    expires_at: Moment | None = None


@routes.get("/tokens", summary="List tokens", openapi_extra=least("owner", "トークンの一覧"))
async def list_tokens(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[TokenRead]:
    """All tokens, also those that work no more; their text is not kept."""
    token = table(ApiToken)
    return await page(
        session, api.cursors, asked, select(token), name="tokens", keys=[token.c.id],
        read=TokenRead.model_validate,
    )  # fmt: skip


@routes.post(
    "/tokens", summary="Create a token", status_code=201,
    openapi_extra=least("owner", "トークンの作成"),
)  # fmt: skip
async def create_token(wanted: TokenCreate, change: Creating) -> TokenCreated:
    """Make a token; its text is in this answer alone. Roles: viewer < clerk < marketer < owner."""
    session = await change.begin()
    row, text = await tokens.add(
        session, name=wanted.name, role=wanted.role, now=change.now, expires_at=wanted.expires_at
    )
    change.note("token.create", f"token:{row.name}", id=row.id, role=row.role)
    told = TokenRead.model_validate(row)
    return TokenCreated(token=text, **told.model_dump())


@routes.delete(
    "/tokens/{id}", summary="Revoke a token", openapi_extra=least("owner", "トークンの失効")
)
async def revoke_token(id_: PathSmallId, change: Changing, api: Shared) -> TokenRead:
    """End a token for good: at once here, within seconds on other machines; a repeat is fine.

    The last owner token cannot be revoked (409): nobody could make another one then.
    """
    session = await change.begin()
    row = await tokens.revoke(session, id_, now=change.now)
    change.note("token.revoke", f"token:{row.name}", id=row.id)
    change.afterwards(api.tokens.forget)
    return TokenRead.model_validate(row)
