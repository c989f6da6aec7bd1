"""会員証: the member card, with a barcode for the till and a page whose QR code changes."""

from dataclasses import dataclass

from bot import flex
from bot.flex import Part
from bot.handlers import membership
from bot.handlers.membership import CARD, Member, ShowCard, ShowCoupons, ShowPoints
from bot.router import Router, text_is
from bot.turn import Replies, Turn
from crm import cards, policies
from crm.points import ledger
from crm.ranks.policy import RankPolicy, Tier

router = Router("card")

PICTURE_RATIO = "3:1"


@dataclass(frozen=True, slots=True)
class Card:
    """What stands on the card; without `picture` it goes without a barcode."""

    shop: str
    name: str
    number: str
    rank: Tier | None
    points: int
    page: str
    picture: str | None


@router.on(
    text_is("会員証", "かいいんしょう", "会員カード", "メンバーズカード", "card", "member card"),
    priority=10,
)
async def typed(turn: Turn) -> Replies:
    """By word."""
    return await show(turn)


@router.tap(ShowCard)
async def tapped(turn: Turn, button: ShowCard) -> Replies:
    """By button."""
    return await show(turn)


async def show(turn: Turn) -> Replies:
    """The card of who asks."""
    membership.asked(turn, "card")
    who = await membership.member(turn)
    if who is None:
        return membership.invitation(turn, CARD)
    policy, _ = await policies.read(turn.session, RankPolicy)
    held = await ledger.standing(turn.session, who.customer_id, now=turn.now)
    return [message(turn, _card(turn, who, policy.tier(who.rank), held.points))]


def _card(turn: Turn, who: Member, rank: Tier | None, points: int) -> Card:
    settings, seal = turn.runtime.settings, turn.runtime.seal
    assert turn.friend.id is not None
    token = cards.link(seal, turn.friend.id, now=turn.now)
    picture = None
    if flex.takes_pictures(settings):
        shown = cards.link(seal, turn.friend.id, now=turn.now, what=cards.PICTURE)
        picture = f"{settings.public_url}/images/card/{shown}.png"
    page = f"{settings.public_url}/card/{token}"
    shop = membership.shop_name(turn)
    return Card(shop, who.name, who.number, rank, points, page, picture)


def message(turn: Turn, card: Card) -> Part:
    """The card as a message."""
    colour = card.rank.colour if card.rank else flex.GREEN
    body = flex.vertical(
        _name(card, colour),
        _points(card),
        _barcode(card),
        flex.text(
            "お会計のときに、この画面をお見せください。", size="xs", color=flex.SOFT, align="center"
        ),
        spacing="lg",
    )
    signer = turn.runtime.buttons
    footer = flex.vertical(
        flex.button(flex.opens("大きく表示（QR）", card.page), "primary"),
        flex.beside(
            flex.button(flex.taps("ポイント", ShowPoints(), signer)),
            flex.button(flex.taps("クーポン", ShowCoupons(), signer)),
            spacing="sm",
        ),
        spacing="sm",
    )
    header = flex.heading("会員証", "Member card", colour=colour, above=card.shop)
    alt = f"{card.shop}の会員証です。会員番号は{card.number}、{card.points:,}ポイントお持ちです。"
    contents = flex.bubble(header=header, body=body, footer=footer)
    return flex.message(alt, contents, membership.others(CARD))


def _name(card: Card, colour: str) -> Part:
    return flex.beside(
        flex.text(f"{card.name} さま", weight="bold", size="xl", maxLines=2, flex=1),
        flex.vertical(flex.chip(card.rank.name, colour), flex=0) if card.rank else None,
        spacing="md",
        alignItems="center",
    )


def _points(card: Card) -> Part:
    return flex.box(
        "baseline",
        flex.text("ポイント", color=flex.SOFT, flex=0),
        flex.number(f"{card.points:,}", size="xxl", align="end"),
        flex.text("pt", color=flex.SOFT, flex=0, margin="sm"),
    )


def _barcode(card: Card) -> Part:
    picture: Part | None = None
    if card.picture:
        picture = {
            "type": "image", "url": card.picture, "size": "full", "aspectMode": "fit",
            "aspectRatio": PICTURE_RATIO, "action": flex.opens("大きく表示", card.page),
        }  # fmt: skip
    return flex.vertical(
        picture,
        flex.number(card.number, size="md", align="center"),
        flex.text("会員番号 Member number", size="xxs", color=flex.SOFT, align="center"),
        backgroundColor=flex.WHITE, borderColor=flex.FAINT, borderWidth="1px", cornerRadius="10px",
        paddingAll="10px", spacing="xs",
    )  # fmt: skip
