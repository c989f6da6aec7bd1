"""The audit log: who changed what, written in the transaction that changed it."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from admin.models import AuditEntry


def note(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
    data: dict[str, Any] | None = None,
) -> None:
    """Add one entry: `token:till` did `flow.publish` to `flow:welcome`.

    `data` holds no secret and nothing personal: numbers, keys, names of fields.
    """
    entry = AuditEntry(at=now, actor=actor, action=action, subject=subject[:120], data=data or {})
    session.add(entry)
