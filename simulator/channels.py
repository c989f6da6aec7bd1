"""One channel (official account) as LINE keeps it."""

from collections import Counter
from dataclasses import dataclass

from simulator import ids
from simulator.chats import Accepted, Friend
from simulator.clock import japan_day, japan_month
from simulator.coupons import Coupons
from simulator.rich_menus import RichMenus
from simulator.settings import ChannelSettings
from simulator.state import Documents, Store

MAX_UNITS_A_MONTH = 1_000


@dataclass(slots=True)
class RetryKey:
    """A retry key seen; `fingerprint` stands for recipients and messages."""

    key: str
    channel_id: str
    first_at: int
    fingerprint: str
    accepted: Accepted | None = None

    def document(self) -> dict[str, object]:
        """What is kept."""
        return {
            "key": self.key,
            "channel_id": self.channel_id,
            "first_at": self.first_at,
            "fingerprint": self.fingerprint,
            "accepted_n": self.accepted.n if self.accepted else None,
        }


class Channel:
    """Friends, menus, coupons and counts of one channel."""

    def __init__(self, settings: ChannelSettings, webhook_url: str, store: Store) -> None:
        self.id = settings.id
        self.settings = settings
        self.name = settings.name
        self.secret = settings.secret.encode()
        self.bot_user_id = ids.user_id_for(f"bot:{settings.id}")
        self.basic_id = "@" + self.bot_user_id[1:4] + "minato"
        self.webhook_url = webhook_url
        self.webhook_is_set = True
        self.monthly_quota = settings.monthly_quota
        self.friends: dict[str, Friend] = {}
        self.rich_menus = RichMenus(settings.id, store)
        self.coupons = Coupons(settings.id, store)
        self.retry_keys: dict[str, RetryKey] = {}
        self.by_request_id: dict[str, Accepted] = {}
        self.usage: Counter[str] = Counter()
        self.sent: Counter[tuple[str, str]] = Counter()
        self.units: dict[str, dict[str, None]] = {}
        self._store = store

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept of menus, coupons, friends and the webhook."""
        self.rich_menus.load(documents)
        self.coupons.load(documents)
        for document in documents.get("friend", {}).values():
            if document["channel_id"] == self.id:
                friend = Friend(**document)  # type: ignore[arg-type]
                self.friends[friend.user_id] = friend
        own = documents.get("channel", {}).get(self.id, {})
        self.webhook_url = str(own.get("webhook_url", self.webhook_url))

    def load_retry_keys(self, documents: Documents, accepted: dict[int, Accepted]) -> None:
        """Take over the retry keys, once the accepted requests are known."""
        for document in documents.get("retry_key", {}).values():
            if document["channel_id"] == self.id:
                n = document.pop("accepted_n")
                key = RetryKey(**document)  # type: ignore[arg-type]
                key.accepted = accepted.get(n) if isinstance(n, int) else None
                self.retry_keys[key.key] = key

    def set_webhook(self, url: str) -> None:
        """Send events there from now on."""
        self.webhook_url = url
        self._store.put("channel", self.id, {"webhook_url": url})

    def friend(self, user_id: str) -> Friend:
        """The friendship with this person, a new one of status `none` if there is none."""
        friend = self.friends.get(user_id)
        if friend is None:
            friend = self.friends[user_id] = Friend(self.id, user_id)
        return friend

    def keep(self, friend: Friend) -> None:
        """Keep a changed friendship."""
        self._store.put("friend", friend.key, friend.document())

    def followers(self) -> list[str]:
        """User ids of all friends."""
        return [f.user_id for f in self.friends.values() if f.status == "friend"]

    def count(self, accepted: Accepted) -> None:
        """Add an accepted request to quota, statistics and aggregation units."""
        people = len(accepted.delivered_to)
        self.sent[accepted.endpoint, japan_day(accepted.at)] += people
        if accepted.endpoint != "reply":
            self.usage[japan_month(accepted.at)] += people
        if accepted.unit is not None:
            self._count_unit(accepted, accepted.unit)
        self.by_request_id[accepted.request_id] = accepted

    def _count_unit(self, accepted: Accepted, unit: str) -> None:
        names = self.units.setdefault(japan_month(accepted.at), {})
        if unit in names or len(names) < MAX_UNITS_A_MONTH:
            names[unit] = None
        else:
            accepted.unit = None  # LINE drops the 1,001st name of a month in silence.

    def remaining(self, now: int) -> int | None:
        """Messages left this month; None without a cap."""
        if self.monthly_quota is None:
            return None
        return self.monthly_quota - self.usage[japan_month(now)]
