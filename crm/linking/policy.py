"""The shop's rules for linking: which ways are open, what proves a membership, how it thanks."""

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from crm.policies import PolicyDocument

Proof = Literal["order_only", "order_and_phone"]


class LinkPolicy(PolicyDocument):
    """Rules for linking a friend to a member.

    `order_link` says what a named order must be proved with. `order_only` trusts whoever knows the
    number; it suits shops whose order numbers cannot be guessed.
    """

    key: ClassVar[str] = "linking"

    account_link: bool = Field(
        default=True, description="LINE's own dialog confirms which LINE account it is"
    )
    sign_in_url: str = Field(
        default="",
        max_length=500,
        description="The shop's own sign-in page, which gets `linkToken`; empty: ours",
    )
    page: bool = Field(
        default=True, description="Our page alone: member number and birthday or phone"
    )
    order: bool = Field(default=True, description="By the number of an order")
    order_link: Proof = Field(
        default="order_and_phone",
        description="`order_and_phone`: the order's phone, e-mail or postal code as well",
    )
    order_days: int = Field(default=90, ge=1, le=730, description="How old the order may be")
    pending_days: int = Field(
        default=14, ge=1, le=90, description="How long a link waits for its order"
    )
    login_channel_id: str = Field(
        default="",
        pattern="^[0-9]{0,32}$",
        description="LINE Login channel whose ID tokens (LIFF) are taken; empty: none are",
    )
    max_friends: int = Field(
        default=5, ge=1, le=20, description="LINE accounts that one member may link"
    )
    thanks_points: int = Field(
        default=0, ge=0, le=1_000_000, description="Points given once for linking; 0: none"
    )
    thanks_coupon: str | None = Field(
        default=None, max_length=60, description="Coupon given once for linking, by its key"
    )

    @field_validator("sign_in_url")
    @classmethod
    def _on_the_web(cls, url: str) -> str:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
        safe = url.isascii() and url.isprintable() and " " not in url and not parts.fragment
        if url and not (parts.hostname and safe and (parts.scheme == "https" or local)):
            msg = "must be an https URL without a #part／https:// で始まるURLにしてください"
            raise ValueError(msg)
        return url

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that customers can choose from in the chat."""
        return tuple(way for way in ("account_link", "page", "order") if getattr(self, way))
