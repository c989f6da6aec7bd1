"""The admin API's export and erasure of a customer, both of which reach over all floors."""

from datetime import datetime
from typing import Any

from pydantic import Field

from admin.api.fields import Given, PathId, Told, like
from admin.api.routing import Creating, least, router
from core.errors import Conflict
from crm.customers import locking, privacy
from server import erasing

routes = router("customers")


class CustomerExport(Told):
    """Everything that is held of a person."""

    model_config = like(
        {
            "customer_id": 9, "exported_at": "2026-11-22T01:00:00Z",
            "tables": {"customer": [{"id": 9, "name": "港 花"}], "purchase": []},
        }
    )  # fmt: skip

    customer_id: int
    exported_at: datetime
    tables: dict[str, list[dict[str, Any]]] = Field(description="Rows by table")


class CustomerErase(Given):
    """A safeguard against the wrong id."""

    model_config = like({"confirm_id": 9})

    confirm_id: int = Field(description="The customer's id once more", ge=1)


class CustomerErased(Told):
    """That a person was erased, and how much of them."""

    model_config = like(
        {
            "customer_id": 9, "erased_at": "2026-11-22T01:00:00Z", "records": 2, "friends": 1,
            "messages": 14, "events": 20, "deliveries": 6,
        }
    )  # fmt: skip

    customer_id: int
    erased_at: datetime
    records: int = Field(description="With those that were merged into it")
    friends: int
    messages: int = Field(description="What they wrote")
    events: int = Field(description="What LINE told of them")
    deliveries: int = Field(description="What was or would have been sent")


@routes.post(
    "/customers/{id}/export", summary="Export a customer",
    openapi_extra=least("owner", "顧客データの書き出し"),
)  # fmt: skip
async def export_customer(id_: PathId, change: Creating) -> CustomerExport:
    """Everything that is held of a person, in all tables; noted in the audit log."""
    change.key = None  # it creates nothing, and its answer is not to be kept for repetitions
    session = await change.begin()
    found = await locking.locked(session, id_)
    assert found.id is not None
    tables = await privacy.export(session, found.id)
    rows = {name: len(held) for name, held in tables.items()}
    change.note("customer.export", f"customer:{found.id}", rows=rows)
    return CustomerExport(customer_id=found.id, exported_at=change.now, tables=tables)


@routes.post(
    "/customers/{id}/erase", summary="Erase a customer",
    openapi_extra=least("owner", "顧客データの消去"),
)  # fmt: skip
async def erase_customer(id_: PathId, wanted: CustomerErase, change: Creating) -> CustomerErased:
    """Take away who a person is, for good: names, contact, notes, messages, LINE accounts.

    Purchases, points and redemptions stay with their amounts. What waited to be sent is not. This
    cannot be undone, nor can merges of this person.
    """
    if wanted.confirm_id != id_:
        raise Conflict("confirm_id が顧客IDと違います。 confirm_id is not this customer's id.")
    session = await change.begin()
    found = await locking.locked(session, id_)
    if found.erased_at is not None:
        raise Conflict("この顧客は消去済みです。 This customer has been erased already.")
    counts = await erasing.erase(session, found, now=change.now)
    assert found.id is not None
    change.note("customer.erase", f"customer:{found.id}", **counts)
    return CustomerErased(customer_id=found.id, erased_at=change.now, **counts)
