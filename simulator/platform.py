"""The stand-in's whole state and where its rules meet; no HTTP in here."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from simulator import ids
from simulator.changes import Changes
from simulator.channels import Channel, RetryKey
from simulator.chats import Accepted, Friend, Message, Said
from simulator.clock import Clock, from_ms
from simulator.faults import Faults
from simulator.people import People, Person
from simulator.rate_limits import Buckets
from simulator.reply_tokens import ReplyTokens
from simulator.settings import Settings
from simulator.state import Change, Documents, Journal, Store
from simulator.tokens import Tokens
from simulator.violations import Violations
from simulator.webhooks import Courier, Event, WebhookSender


class Platform:
    """LINE as far as a shop can see it: people, channels, chats, tokens, webhooks, faults."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock(simulated=settings.simulated_clock)
        self.store: Store = Journal(settings.state) if settings.state else Store()
        self.people = People(self.store)
        self.tokens = Tokens(settings.channels, self.store, self.clock)
        self.reply_tokens = ReplyTokens(self.store, self.clock)
        self.violations = Violations(self.clock)
        self.faults = Faults()
        self.buckets = Buckets()
        self.changes = Changes()
        self.courier = Courier()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.message_ids = ids.MessageIds()
        self.accepted: list[Accepted] = []
        self.checked_messages: dict[bytes, bool] = {}
        self.done: dict[str, dict[str, object]] = {}
        self.while_travelling: Callable[[], Awaitable[None]] | None = None
        self.order = 0
        self.channels: dict[str, Channel] = {}
        self.webhooks = WebhookSender(
            self.channels, self.store, self.courier, self._webhook_goes_out
        )
        self._open_channels()
        self._load(self.store.load())

    def _open_channels(self) -> None:
        for settings in self.settings.channels:
            url = self.settings.webhook_url(settings)
            self.channels[settings.id] = Channel(settings, url, self.store)

    @property
    def first_channel(self) -> Channel:
        """The one the phone talks to."""
        return next(iter(self.channels.values()))

    def _webhook_goes_out(self, event: Event) -> None:
        self.reply_tokens.sent(event.get("replyToken"))

    # What outlives the process

    def _load(self, documents: Documents) -> None:
        self.people.load(documents)
        self.tokens.load(documents)
        self.reply_tokens.load(documents)
        for channel in self.channels.values():
            channel.load(documents)
        self._load_chats(documents)
        accepted = {one.n: one for one in self.accepted}
        for channel in self.channels.values():
            channel.load_retry_keys(documents, accepted)
        self.webhooks.load(documents)
        self.done = dict(documents.get("done", {}))
        self._load_clock(documents)

    def _load_chats(self, documents: Documents) -> None:
        said = [Said(**d) for d in documents.get("said", {}).values()]  # type: ignore[arg-type]
        told = [Accepted(**d) for d in documents.get("accepted", {}).values()]  # type: ignore[arg-type]
        items: list[Said | Accepted] = [*said, *told]
        for item in sorted(items, key=lambda one: one.order):
            self.order = max(self.order, item.order)
            channel = self.channels.get(item.channel_id)
            if isinstance(item, Accepted):
                self.accepted.append(item)
            if channel is not None:
                self._remember(channel, item)

    def _remember(self, channel: Channel, item: Said | Accepted) -> None:
        if isinstance(item, Said):
            self.message_ids.seen(item.id)
            channel.friend(item.user_id).chat.append(item)
            return
        for message_id in item.ids:
            self.message_ids.seen(message_id)
        channel.count(item)
        for user_id in item.delivered_to:
            if user_id in self.people:
                channel.friend(user_id).chat.append(item)

    def _load_clock(self, documents: Documents) -> None:
        if not self.clock.simulated:
            return
        saved = documents.get("clock", {}).get("now", {}).get("ms")
        times = [saved] if isinstance(saved, int) else []
        times += [item.at for item in self.accepted[-1:]]
        if times:
            self.clock.move_to(from_ms(max(times)))

    def keep_clock(self) -> None:
        """Keep the simulated time, so that a restart goes on from there."""
        if self.clock.simulated:
            self.store.put("clock", "now", {"ms": self.clock.ms()})

    def mark_done(self, what: str, state: dict[str, object]) -> None:
        """Remember how far a piece of work is, such as the sample shop's history."""
        self.done[what] = state
        self.store.put("done", what, state)

    def reset(self) -> None:
        """As new: no people, no chats, no faults. The time and the settings stay."""
        self.people.clear()
        self.tokens.clear()
        self.reply_tokens.clear()
        self.violations.clear()
        self.faults.clear()
        self.buckets.clear()
        self.webhooks.clear()
        self.requests.clear()
        self.accepted.clear()
        self.checked_messages.clear()
        self.done.clear()
        self.store.clear()
        self._open_channels()

    async def close(self) -> None:
        """Let go of connections and the state file."""
        self.changes.close()
        await self.webhooks.close()
        await self.courier.close()
        self.store.close()

    # What is written into chats

    def next_order(self) -> int:
        """Places in time over all chats."""
        self.order += 1
        return self.order

    def person(self, user_id: str) -> Person | None:
        """The person, or None."""
        return self.people.get(user_id)

    def compose(
        self, friend: Friend, message: Message, at: int, *, by_system: bool = False
    ) -> Said:
        """Something a person (or LINE) says, with an id; `put` puts it into the chat."""
        by: Literal["person", "system"] = "system" if by_system else "person"
        message_id, order = self.message_ids.next(), self.next_order()
        return Said(message_id, friend.channel_id, friend.user_id, at, order, message, by)

    def put(self, friend: Friend, said: Said, changes: Iterable[Change]) -> None:
        """Add to the chat what was said, and keep `changes` along with it: all, or nothing."""
        self.store.put_all([("said", said.id, said), *changes])
        friend.chat.append(said)
        self.changes.publish([friend.user_id])

    def accept(self, channel: Channel, accepted: Accepted, changes: Iterable[Change]) -> None:
        """Take a message request for good: kept first, then shown and counted."""
        self.store.put_all([("accepted", str(accepted.n), accepted), *changes])
        self.accepted.append(accepted)
        channel.count(accepted)
        friends = channel.friends
        for user_id in accepted.delivered_to:
            friend = friends.get(user_id)
            if friend is not None:
                friend.chat.append(accepted)
                friend.typing_until = 0.0
        self.changes.publish(accepted.delivered_to)

    def keep_retry_key(self, key: RetryKey) -> None:
        """Keep a retry key of a request that was not accepted."""
        self.store.put("retry_key", f"{key.channel_id}/{key.key}", key.document())
