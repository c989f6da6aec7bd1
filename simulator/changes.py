"""Tells the phones that watch: something has changed in your chat, or the clock has."""

import asyncio
from collections.abc import Iterable

Change = dict[str, object]


class Watcher:
    """One open phone. Changes of the same type are told once until they are fetched."""

    def __init__(self) -> None:
        self._waiting: dict[str, Change] = {}
        self._news = asyncio.Event()
        self.closed = False

    def tell(self, change: Change) -> None:
        """Wake the phone."""
        self._waiting[str(change["type"])] = change
        self._news.set()

    def close(self) -> None:
        """The server goes home."""
        self.closed = True
        self._news.set()

    async def next(self, timeout_seconds: float) -> list[Change]:
        """What has changed; empty after the timeout, or when the server goes home."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_seconds)
        except TimeoutError:
            return []
        self._news.clear()
        news, self._waiting = list(self._waiting.values()), {}
        return news


class Changes:
    """Who watches whom."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self._closed = False

    def watch(self, user_id: str) -> Watcher:
        """Hear of changes until `leave`."""
        watcher = Watcher()
        self._watchers.setdefault(user_id, set()).add(watcher)
        if self._closed:
            watcher.close()
        return watcher

    def leave(self, user_id: str, watcher: Watcher) -> None:
        """Hear no more."""
        watchers = self._watchers.get(user_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(user_id, None)

    def publish(self, user_ids: Iterable[str]) -> None:
        """Their chats have changed."""
        if not self._watchers:
            return
        for user_id in user_ids:
            for watcher in self._watchers.get(user_id, ()):
                watcher.tell({"type": "changed"})

    def to_all(self, change: Change) -> None:
        """Tell everybody."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.tell(change)

    def close(self) -> None:
        """End all streams, those to come included."""
        self._closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.close()
