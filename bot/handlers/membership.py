"""What the answers about the membership share: who asks, their buttons, the invitation to link."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import select

from bot import flex
from bot.flex import Part
from bot.turn import Replies, Turn
from core.buttons import ButtonData
from core.db import table
from crm.models import Customer

CARD, POINTS, RANK, COUPONS, TOPICS = "会員証", "ポイント", "ランク", "クーポン", "通知設定"
WORDS = (CARD, POINTS, RANK, COUPONS, TOPICS)
LINK = "連携"
SHOP = "当店"


class ShowCard(ButtonData):
    """Show the member card."""

    kind: ClassVar[str] = "card"


class ShowPoints(ButtonData):
    """Show balance, next expiry and the last entries."""

    kind: ClassVar[str] = "points"


class ShowRank(ButtonData):
    """Show the rank and the way to the next."""

    kind: ClassVar[str] = "rank"


class ShowCoupons(ButtonData):
    """Show the coupons held, without the first `skip`."""

    kind: ClassVar[str] = "coupons"
    skip: int = 0


class UseCoupon(ButtonData):
    """Show the code of one issued coupon."""

    kind: ClassVar[str] = "coupon"
    issued_id: int


class ShowTopics(ButtonData):
    """Show what the customer hears about."""

    kind: ClassVar[str] = "topics"


class SetTopic(ButtonData):
    """Hear about a topic, or not any more."""

    kind: ClassVar[str] = "topic"
    topic: str
    on: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A linked customer, as far as they are shown to themselves."""

    customer_id: int
    number: str
    name: str
    rank: str | None


async def member(turn: Turn) -> Member | None:
    """The member who asks; None for a friend who is not linked. Always fresh from the database."""
    customer = table(Customer)
    query = select(customer.c.member_number, customer.c.name, customer.c.rank)
    row: Any = (
        await turn.session.execute(query.where(customer.c.id == turn.friend.customer_id))
    ).first()
    if row is None or row.member_number is None:
        return None
    name = row.name or turn.friend.display_name or "お客"
    return Member(turn.friend.customer_id, row.member_number, name, row.rank)


def shop_name(turn: Turn) -> str:
    """What the shop calls itself."""
    return turn.channel.name or SHOP


def others(word: str, *more: str) -> list[str]:
    """The words for quick replies below an answer to `word`."""
    return [*more, *(other for other in WORDS if other != word)]


def asked(turn: Turn, about: str) -> None:
    """Note that the friend asked, by word or by button."""
    if turn.postback is None:
        turn.note("replied", type="text", about=about)
    elif turn.word is None:  # else the button's word has been noted
        turn.note("tapped", value=about)


_GAINS = {
    CARD: "お会計で見せるだけの会員証",
    POINTS: "ポイントの残高と有効期限",
    RANK: "会員ランクと特典",
    COUPONS: "会員さま限定のクーポン",
}


def invitation(turn: Turn, word: str) -> Replies:
    """To a friend who is not linked: what linking gives them, and the way there."""
    gains = [gain for key, gain in sorted(_GAINS.items(), key=lambda item: item[0] != word)]
    body = flex.vertical(
        flex.text(
            f"「{word}」をご覧いただくには、会員情報との連携をお願いします。",
            size="md", weight="bold",
        ),
        flex.text("1分ほどで終わり、このトークで使えるようになります。", color=flex.SOFT),
        *(_gain(gain) for gain in gains),
        spacing="md",
    )  # fmt: skip
    footer = flex.vertical(
        flex.button(flex.says(LINK) | {"label": "会員連携する"}, "primary"),
        flex.text("Link your membership", size="xs", color=flex.SOFT, align="center"),
        spacing="sm",
    )
    header = flex.heading("会員連携", "Link your membership", above=shop_name(turn))
    alt = f"「{word}」をご覧いただくには会員連携が必要です。「{LINK}」と送ると始められます。"
    return [flex.message(alt, flex.bubble(header=header, body=body, footer=footer), [LINK, TOPICS])]


def _gain(words: str) -> Part:
    return flex.box(
        "baseline",
        flex.text("✓", color=flex.GREEN, weight="bold", flex=0),
        flex.text(words, margin="md"),
    )


def plain(words: str, choices: Sequence[str]) -> Replies:
    """A text with quick replies."""
    items = [{"type": "action", "action": flex.says(word)} for word in dict.fromkeys(choices)]
    return [{"type": "text", "text": words, "quickReply": {"items": items}}]
