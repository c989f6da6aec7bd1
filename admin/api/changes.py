"""One change: a transaction that begins when it is needed and ends before the answer leaves.

An endpoint checks what it can first, then begins; whatever it raises undoes everything. The answer
to an Idempotency-Key, the audit entry and the change are one transaction; wake-ups follow it.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from admin import audit, idempotency
from admin.tokens import Caller
from core.runtime import Runtime


class Replay(Exception):
    """This request was carried out before; here is its answer."""

    def __init__(self, answer: idempotency.Answer) -> None:
        super().__init__()
        self.answer = answer


@dataclass
class Change:
    """What a request changes. Used as a context by the route, begun by the endpoint."""

    runtime: Runtime
    caller: Caller
    now: datetime
    request_hash: str
    key: str | None = None
    _session: AsyncSession | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _belts: set[str] = field(default_factory=set)
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    async def begin(self) -> AsyncSession:
        """The session of the change; nothing is locked before this call."""
        if self._session is None:
            transaction = self.runtime.db.transaction()
            self._session = await self._stack.enter_async_context(transaction)
            if self.key is not None:
                await self._claim(self._session, self.key)
        return self._session

    def note(self, action: str, subject: str, **data: Any) -> None:  # noqa: ANN401
        """Write into the audit log; nothing secret, nothing personal."""
        assert self._session is not None, "begin first"
        audit.note(
            self._session, actor=self.caller.actor, action=action, subject=subject, now=self.now,
            data=data,
        )  # fmt: skip

    def wake(self, *belts: str) -> None:
        """Hint, once committed, that these belts have rows."""
        self._belts.update(belts)

    def afterwards(self, action: Callable[[], None]) -> None:
        """Do this once committed."""
        self._afterwards.append(action)

    async def keep_answer(self, response: Response) -> None:
        """Store the answer for repetitions of this request."""
        if self.key is None or self._session is None:
            return
        headers = {k: v for k, v in response.headers.items() if k in idempotency.KEPT_HEADERS}
        given = idempotency.Answer(response.status_code, bytes(response.body), headers)
        await idempotency.keep(
            self._session, self.runtime.seal, given, actor=self._actor, key=self.key
        )

    def done(self) -> None:
        """Say so to whoever waits for the rows."""
        for action in self._afterwards:
            action()
        if self._belts:
            self.runtime.wakes.wake(*self._belts)

    @property
    def _actor(self) -> str:
        return f"token:{self.caller.token_id}"

    async def _claim(self, session: AsyncSession, key: str) -> None:
        earlier = await idempotency.claim(
            session, self.runtime.seal, actor=self._actor, key=key, request_hash=self.request_hash,
            now=self.now,
        )  # fmt: skip
        if earlier is not None:
            raise Replay(earlier)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)
