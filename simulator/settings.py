"""How a stand-in is set up."""

from dataclasses import dataclass, field
from pathlib import Path

FREE_MESSAGES_OF_LIGHT_PLAN = 5_000


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: LINE's channel id, its secret, its long-lived access token."""

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    name: str = "みなと珈琲"
    webhook_url: str | None = None  # None: `{shop_url}/webhook/{id}`
    verified: bool = False
    monthly_quota: int | None = FREE_MESSAGES_OF_LIGHT_PLAN  # None: no cap

    @classmethod
    def parse(cls, text: str) -> "ChannelSettings":
        """From `ID:SECRET:TOKEN`. Raises ValueError when a part is missing."""
        channel_id, _, rest = text.strip().partition(":")
        secret, _, token = rest.partition(":")
        if not (channel_id and secret and token):
            raise ValueError("a channel is written ID:SECRET:TOKEN")
        return cls(channel_id, secret, token)


# Known to everybody, for a stand-in somebody starts without channels.
DEFAULT_CHANNEL = ChannelSettings("1234567890", "simulator-secret", "simulator-token")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one stand-in; the defaults suit a test."""

    channels: tuple[ChannelSettings, ...] = (DEFAULT_CHANNEL,)
    shop_url: str = "http://127.0.0.1:8000"
    shop_token: str | None = field(default=None, repr=False)
    state: Path | None = None
    sample_shop: bool = False
    simulated_clock: bool = False
    allow_http_urls: bool = False
    rate_limits: bool = True
    everyone_is_a_friend: bool = False  # Any well-formed user id is reached; for load tests.

    def webhook_url(self, channel: ChannelSettings) -> str:
        """Where the channel's events go unless the API is told otherwise."""
        return channel.webhook_url or f"{self.shop_url.rstrip('/')}/webhook/{channel.id}"
