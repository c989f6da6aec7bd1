"""Mappings by name: those that the shop has saved, and the ready ones behind them."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Fault, Invalid, NotFound, StaleVersion
from crm.imports.mapping import FileMapping, Kind, MappingDraft, check
from crm.imports.ready import READY
from crm.purchases.models import ImportMapping


async def find(session: AsyncSession, kind: Kind, name: str) -> FileMapping:
    """The mapping of this name: one that the shop has saved, or a ready one.

    Raises `NotFound`, and `Invalid` for one of the other kind.
    """
    row: ImportMapping | None = await session.get(ImportMapping, name)
    if row is None and (kind, name) in READY:
        return READY[kind, name]
    if row is None:
        raise NotFound("mapping", name)
    if row.kind != kind:
        raise Invalid("The mapping is for other files.", [
            Fault("mapping", f"{name} is a mapping for {row.kind}",
                  f"「{name}」は {row.kind} 用の対応表です")])  # fmt: skip
    columns = {name: (heading,) for name, heading in row.columns.items()}
    return FileMapping(row.name, kind, columns, row.values, row.encoding)


async def save(
    session: AsyncSession, name: str, draft: MappingDraft, *, expected: int | None, now: datetime
) -> tuple[ImportMapping, bool]:
    """Save a mapping, and say whether it is new. Raises `Invalid`, `StaleVersion`, `NotFound`."""
    check(draft)
    found = await session.get(ImportMapping, name, with_for_update=True)
    values: dict[str, Any] = {
        "kind": draft.kind, "encoding": draft.encoding, "columns": dict(draft.columns),
        "values": {field: dict(known) for field, known in draft.values.items()}, "updated_at": now,
    }  # fmt: skip
    if found is None:
        if expected is not None:
            raise NotFound("mapping", name)
        made = ImportMapping(name=name, created_at=now, **values)
        session.add(made)
        await session.flush()
        return made, True
    if expected is not None and found.version != expected:
        raise StaleVersion(current=found.version)
    for column, value in values.items():
        setattr(found, column, value)
    found.version += 1
    await session.flush()
    return found, False
