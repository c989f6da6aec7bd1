"""Sources: systems that send orders by webhook, and the secrets with which they sign."""

import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field, SecretStr, model_validator
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import (
    Given,
    IfMatch,
    Name,
    PathKey,
    Told,
    check_version,
    like,
    tag_version,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import insert_new, table
from core.errors import Conflict, Fault, Invalid, NotFound
from crm.purchases.models import PurchaseSource
from flows.definition import KEY_PATTERN

routes = router("sources")

Kind = Literal["shopify", "signed"]
Secret = Annotated[SecretStr, Field(min_length=16, max_length=500)]
_EXAMPLE = {
    "key": "web-shop", "kind": "signed", "name": "みなと珈琲 オンライン",
    "url": "https://okaeri.example.jp/hooks/web-shop", "received_at": None, "version": 1,
    "created_at": "2026-11-22T01:00:00Z", "updated_at": "2026-11-22T01:00:00Z",
}  # fmt: skip
_SECRET = "EXAMPLE-NOT-A-SECRET-0123456789"  # noqa: S105 - shown in the docs


class SourceRead(Told):
    """A source, without its secret."""

    model_config = like(_EXAMPLE)

    key: str
    kind: Kind
    name: str
    url: str = Field(description="Where the system sends its webhooks")
    received_at: datetime | None = Field(description="When it last sent something that we took")
    version: int
    created_at: datetime
    updated_at: datetime


class SourceMade(SourceRead):
    """A source with its secret, which is shown this once."""

    model_config = like(_EXAMPLE | {"secret": _SECRET})

    secret: str = Field(description="Enter it in the sending system; it is not shown again")


class SourceCreate(Given):
    """A source to be added; its purchases carry its `key` as `source`."""

    model_config = like({"key": "web-shop", "kind": "signed", "name": "みなと珈琲 オンライン"})

    key: Annotated[str, Field(pattern=KEY_PATTERN, max_length=60)]
    kind: Kind = Field(description="shopify: Shopify's webhooks; signed: ours, see the docs")
    name: Name
    secret: Secret | None = Field(
        None, description="Shopify's own signing secret; for signed one is made if left out"
    )

    @model_validator(mode="after")
    def _shopify_has_its_own(self) -> "SourceCreate":
        if self.kind == "shopify" and self.secret is None:
            msg = "secret is needed: Shopify shows it／Shopifyの署名シークレットを指定してください"
            raise ValueError(msg)
        return self


class SourceUpdate(Given):
    """What is to change; what is left out stays."""

    model_config = like({"new_secret": True})

    name: Name | None = None
    secret: Secret | None = Field(None, description="A secret of the sender's own")
    new_secret: bool = Field(default=False, description="true: make a new secret and show it once")


class SourceChanged(SourceRead):
    """A source, with its new secret where one was made."""

    model_config = like(_EXAMPLE | {"new_secret": _SECRET})

    new_secret: str | None = Field(description="Where one was made: it is not shown again")


@routes.get("/sources", summary="List sources", openapi_extra=least("owner", "購入連携元の一覧"))
async def list_sources(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[SourceRead]:
    """All systems that may send orders by webhook; their secrets are never told."""
    source = table(PurchaseSource)
    url = api.runtime.settings.public_url
    return await page(
        session, api.cursors, asked, select(source), name="sources", keys=[source.c.key],
        read=lambda row: SourceRead(**_told(row, url)),
    )  # fmt: skip


@routes.get(
    "/sources/{key}", summary="Get a source", openapi_extra=least("owner", "購入連携元の表示")
)
async def get_source(key: PathKey, session: Reading, api: Shared, response: Response) -> SourceRead:
    """One source; the `ETag` is what a change of it wants as `If-Match`."""
    row = await _find(session, key)
    tag_version(response, row.version)
    return SourceRead(**_told(row, api.runtime.settings.public_url))


@routes.post(
    "/sources", summary="Add a source", status_code=201,
    openapi_extra=least("owner", "購入連携元の追加"),
)  # fmt: skip
async def add_source(wanted: SourceCreate, change: Creating, response: Response) -> SourceMade:
    """Add a system that sends orders to `url`, and show once the secret with which it signs."""
    session = await change.begin()
    secret = wanted.secret.get_secret_value() if wanted.secret else secrets.token_urlsafe(32)
    source = table(PurchaseSource)
    row = {
        "key": wanted.key, "kind": wanted.kind, "name": wanted.name, "version": 1,
        "sealed_secret": change.runtime.seal.encrypt(secret), "created_at": change.now,
        "updated_at": change.now,
    }  # fmt: skip
    new = insert_new(session, source).values(row).on_conflict_do_nothing()
    if (await session.execute(new.returning(source.c.key))).first() is None:
        raise Conflict(
            f"There is a source {wanted.key!r} already.／このキーの連携元は登録済みです。"
        )
    change.note("source.create", f"source:{wanted.key}", kind=wanted.kind)
    tag_version(response, 1)
    told = _told(await _find(session, wanted.key), change.runtime.settings.public_url)
    return SourceMade(**told, secret=secret)


@routes.patch(
    "/sources/{key}", summary="Change a source", openapi_extra=least("owner", "購入連携元の変更")
)
async def change_source(
    key: PathKey,
    wanted: SourceUpdate,
    change: Changing,
    response: Response,
    if_match: IfMatch = None,
) -> SourceChanged:
    """Rename a source or give it another secret; the old one is good for nothing from then on.

    Needs `If-Match`.
    """
    if wanted.secret is not None and wanted.new_secret:
        raise Invalid("There are two secrets.", [
            Fault("new_secret", "give a secret, or have one made",
                  "secret と new_secret は同時に指定できません")])  # fmt: skip
    session = await change.begin()
    row = await _find(session, key, lock=True)
    check_version(row.version, if_match, needed=True)
    made = secrets.token_urlsafe(32) if wanted.new_secret else None
    given = made or (wanted.secret.get_secret_value() if wanted.secret else None)
    values = {"version": row.version + 1, "updated_at": change.now}
    values |= {"name": wanted.name} if wanted.name else {}
    values |= {"sealed_secret": change.runtime.seal.encrypt(given)} if given else {}
    source = table(PurchaseSource)
    await session.execute(update(source).where(source.c.key == key).values(values))
    change.note("source.change", f"source:{key}", fields=sorted(wanted.model_fields_set))
    row = await _find(session, key)
    tag_version(response, row.version)
    return SourceChanged(**_told(row, change.runtime.settings.public_url), new_secret=made)


@routes.delete(
    "/sources/{key}", summary="Delete a source", status_code=204,
    openapi_extra=least("owner", "購入連携元の削除"),
)  # fmt: skip
async def delete_source(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Take nothing from this system any more; the purchases that it has told stay."""
    session = await change.begin()
    row = await _find(session, key, lock=True)
    check_version(row.version, if_match, needed=False)
    source = table(PurchaseSource)
    await session.execute(delete(source).where(source.c.key == key))
    change.note("source.delete", f"source:{key}")


def _told(row: Any, public_url: str) -> dict[str, Any]:  # noqa: ANN401
    names = ("key", "kind", "name", "received_at", "version", "created_at", "updated_at")
    return {name: getattr(row, name) for name in names} | {"url": f"{public_url}/hooks/{row.key}"}


async def _find(session: AsyncSession, key: str, *, lock: bool = False) -> Any:  # noqa: ANN401
    source = table(PurchaseSource)
    query = select(source).where(source.c.key == key)
    row = (await session.execute(query.with_for_update() if lock else query)).first()
    if row is None:
        raise NotFound("source", key)
    return row
