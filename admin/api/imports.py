"""CSV imports, and the mappings that say which column of a file is what."""

from datetime import datetime
from io import BytesIO
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.bodies import MAX_BYTES_IN
from admin.api.fields import (
    Given,
    IfMatch,
    PathKey,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.problems import MEDIA, Refusal
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Fault, Invalid, NotFound
from crm.imports import mapping, saved
from crm.imports.mapping import CUSTOMERS, PURCHASES, Kind, MappingDraft
from crm.imports.ready import READY
from crm.imports.run import Import, Report
from crm.imports.texts import encoding_of
from crm.purchases.models import ImportMapping

routes = router("imports")

MAX_FILE = 20 << 20
MEDIA_TYPES = {"text/csv", "text/plain", "application/octet-stream"}
_CUSTOMERS = "member_number,name,phone\r\n10000001,山田 花子,090-1234-5678\r\n"
_PURCHASES = (
    "order_id,purchased_at,total,member_number,line_name,line_quantity,line_unit_price\r\n"
    "A-1,2026-11-22 10:00,1500,10000001,コーヒー豆,1,1500\r\n"
)
_MAPPING: dict[str, Any] = {
    "name": "our-till",
    "kind": "purchases",
    "encoding": "cp932",
    "columns": {"order_id": "伝票番号", "purchased_at": "売上日時", "total": "売上金額"},
    "values": {},
    "ready": False,
    "version": 1,
    "created_at": "2026-11-22T01:00:00Z",
    "updated_at": "2026-11-22T01:00:00Z",
}
_FAULT = {
    "line": 12,
    "column": 3,
    "heading": "電話番号",
    "message": "is not a phone number; write it like 090-1234-5678 or +81 90 1234 5678",
    "message_ja": "電話番号として読み取れません（例: 090-1234-5678）",
}
Text = Annotated[str, Field(min_length=1, max_length=200)]


def _takes_csv(example: str) -> dict[str, Any]:
    """The body of an import, as the description shows it."""
    media = {"schema": {"type": "string", "contentMediaType": "text/csv"}, "example": example}
    return {"requestBody": {"required": True, "content": {"text/csv": media}}}


class ImportQuery(BaseModel):
    """How a file is read."""

    model_config = ConfigDict(extra="forbid")

    mapping: str = Field("plain", min_length=1, max_length=60, description="A mapping's name")
    encoding: Literal["", "utf-8", "cp932", "utf-16"] = Field(
        "", description="Of the file; empty: the mapping's, else UTF-8"
    )
    source: str = Field("", max_length=50, description="Under which name its orders are known")
    dry_run: bool = Field(default=False, description="Say what would come of it and change nothing")


class FaultRead(Told):
    """What is wrong, where it stands in the file, and how to mend it."""

    model_config = like(_FAULT)

    line: int | None
    column: int | None
    heading: str
    message: str
    message_ja: str


class ImportRead(Told):
    """What became of a file. Records are customers or orders."""

    model_config = like(
        {
            "dry_run": False,
            "rows": 120,
            "records": 118,
            "new": 110,
            "changed": 5,
            "unchanged": 2,
            "left_out": 1,
            "faults": [_FAULT],
            "more_faults": 0,
            "warnings": [],
            "ignored_columns": ["備考"],
        }
    )

    dry_run: bool
    rows: int
    records: int
    new: int
    changed: int
    unchanged: int
    left_out: int
    faults: list[FaultRead]
    more_faults: int = Field(description="Faults beyond those listed")
    warnings: list[FaultRead] = Field(description="What is odd and was taken in")
    ignored_columns: list[str]


class MappingRead(Told):
    """Which column of a file is what: our field → the file's heading."""

    model_config = like(_MAPPING)

    name: str
    kind: Kind
    encoding: str
    columns: dict[str, str]
    values: dict[str, dict[str, str]] = Field(description="Our field → what stands there → ours")
    ready: bool = Field(description="Ready-made; one saved under its name takes its place")
    version: int
    created_at: datetime | None
    updated_at: datetime | None


class MappingSave(Given):
    """A mapping of the shop's own."""

    model_config = like({n: _MAPPING[n] for n in ("kind", "encoding", "columns", "values")})

    kind: Kind
    encoding: Literal["", "utf-8", "cp932", "utf-16"] = ""
    columns: dict[Text, Text] = Field(max_length=100)
    values: dict[Text, dict[Text, Text]] = Field(default_factory=dict, max_length=20)


@routes.post(
    "/imports/customers", summary="Import customers",
    openapi_extra=least("marketer", "顧客の取り込み", **{MAX_BYTES_IN: MAX_FILE},
                        **_takes_csv(_CUSTOMERS)),
)  # fmt: skip
async def import_customers(
    asked: Annotated[ImportQuery, Query()], request: Request, change: Creating
) -> ImportRead:
    """Take in a CSV file of members, up to 20 MiB, sent as it is with `Content-Type: text/csv`.

    Rows with faults are listed and left out, all others are taken in; importing again doubles
    nothing. A file in another encoding or without a column that is needed changes nothing.
    """
    return await _import(CUSTOMERS, asked, request, change)


@routes.post(
    "/imports/purchases", summary="Import purchases",
    openapi_extra=least("marketer", "購入の取り込み", **{MAX_BYTES_IN: MAX_FILE},
                        **_takes_csv(_PURCHASES)),
)  # fmt: skip
async def import_purchases(
    asked: Annotated[ImportQuery, Query()], request: Request, change: Creating
) -> ImportRead:
    """Take in a CSV file of orders, up to 20 MiB, sent as it is with `Content-Type: text/csv`.

    A row is a line of an order; rows with the same order id are one order. What is wrong is
    answered as for customers.
    """
    return await _import(PURCHASES, asked, request, change)


@routes.get(
    "/import-mappings", summary="List import mappings",
    openapi_extra=least("viewer", "取り込みの対応表の一覧"),
)  # fmt: skip
async def list_mappings(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[MappingRead]:
    """The mappings that the shop has saved; `plain` and those of shop systems are there besides."""
    found = table(ImportMapping)
    return await page(
        session, api.cursors, asked, select(found), name="import-mappings", keys=[found.c.name],
        read=_told,
    )  # fmt: skip


@routes.get(
    "/import-mappings/{key}", summary="Get an import mapping",
    openapi_extra=least("viewer", "取り込みの対応表の表示"),
)  # fmt: skip
async def get_mapping(
    key: PathKey, session: Reading, response: Response, kind: Kind = PURCHASES
) -> MappingRead:
    """A saved mapping, or a ready one of this `kind`, to be saved under another name and changed.

    The `ETag` is what a change of a saved one wants as `If-Match`.
    """
    row = await _find(session, key)
    if row is not None:
        tag_version(response, row.version)
        return _told(row)
    ready = READY.get((kind, key))
    if ready is None:
        raise NotFound("import mapping", key)
    return MappingRead(
        name=key,
        kind=kind,
        encoding=ready.encoding,
        columns={name: headings[0] for name, headings in ready.columns.items()},
        values={name: dict(known) for name, known in ready.values.items()},
        ready=True,
        version=0,
        created_at=None,
        updated_at=None,
    )


@routes.put(
    "/import-mappings/{key}", summary="Save an import mapping",
    responses={201: {"model": MappingRead, "description": "It is new"}},
    openapi_extra=least("marketer", "取り込みの対応表の保存"),
)  # fmt: skip
async def save_mapping(
    key: PathKey,
    wanted: MappingSave,
    change: Changing,
    response: Response,
    if_match: IfMatch = None,
) -> MappingRead:
    """Save a mapping under a name. Replacing one needs `If-Match`."""
    draft = MappingDraft(wanted.kind, wanted.columns, wanted.values, wanted.encoding)
    mapping.check(draft)
    read = version_read(if_match)
    session = await change.begin()
    found = await _find(session, key)
    if found is not None:
        check_version(found.version, if_match, needed=True)
    row, new = await saved.save(session, key, draft, expected=read, now=change.now)
    change.note("import-mapping.save", f"import-mapping:{key}", version=row.version)
    response.status_code = 201 if new else 200
    tag_version(response, row.version)
    return _told(row)


@routes.delete(
    "/import-mappings/{key}", summary="Delete an import mapping", status_code=204,
    openapi_extra=least("marketer", "取り込みの対応表の削除"),
)  # fmt: skip
async def delete_mapping(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Delete a mapping of the shop's own; a ready one of its name is there again."""
    session = await change.begin()
    found = await _find(session, key)
    if found is None:
        raise NotFound("import mapping", key)
    check_version(found.version, if_match, needed=False)
    await session.delete(found)
    change.note("import-mapping.delete", f"import-mapping:{key}")


async def _import(kind: Kind, asked: ImportQuery, request: Request, change: Creating) -> ImportRead:
    """Import in transactions of its own, a batch each; then say so in the audit log."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        raise Refusal(MEDIA, "Send the file as it is, with Content-Type: text/csv.")
    if asked.source.strip() != asked.source:
        raise Invalid("The source cannot be used.", [
            Fault("source", "begins or ends with blanks", "前後に空白があります")])  # fmt: skip
    db, zone = change.runtime.db, change.runtime.settings.zone
    async with db.reading() as session:
        found = await _mapping(session, kind, asked.mapping)
    file = BytesIO(await request.body())
    encoding = encoding_of(asked.encoding) if asked.encoding else ""
    report = await Import(
        db, file, found, zone, change.now, asked.source, encoding, asked.dry_run
    ).run()
    await change.begin()
    if not asked.dry_run:
        counts = {name: getattr(report, name) for name in ("rows", "new", "changed", "left_out")}
        change.note(f"import.{kind}", f"import-mapping:{found.name}", **counts)
        change.wake("reactions")
    return _read(report, dry_run=asked.dry_run)


async def _mapping(session: AsyncSession, kind: Kind, name: str) -> mapping.FileMapping:
    try:
        return await saved.find(session, kind, name)
    except NotFound:
        raise Invalid("There is no such mapping.", [
            Fault("mapping", f"there is no mapping {name!r} for {kind}",
                  f"「{name}」という {kind} 用の対応表はありません")]) from None  # fmt: skip


def _read(report: Report, *, dry_run: bool) -> ImportRead:
    return ImportRead(
        dry_run=dry_run,
        rows=report.rows,
        records=report.records,
        new=report.new,
        changed=report.changed,
        unchanged=report.unchanged,
        left_out=report.left_out,
        faults=[_fault(fault) for fault in report.faults],
        more_faults=report.more_faults,
        warnings=[_fault(fault) for fault in report.warnings],
        ignored_columns=report.ignored,
    )


def _fault(fault: Fault) -> FaultRead:
    return FaultRead(
        line=fault.line,
        column=fault.column,
        heading=fault.path,
        message=fault.message,
        message_ja=fault.message_ja,
    )


def _told(row: Any) -> MappingRead:  # noqa: ANN401
    columns = {name: getattr(row, name) for name in MappingRead.model_fields if name != "ready"}
    return MappingRead(**columns, ready=False)


async def _find(session: AsyncSession, key: str) -> ImportMapping | None:
    return await session.get(ImportMapping, key)
