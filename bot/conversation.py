"""The conversation: all routers put together, and who answers a turn."""

from bot.handlers import card, coupons, friendship, linking, points, rank, talk, topics
from bot.router import OnText, answer, in_order, kinds_of
from bot.turn import Replies, Turn
from core.text_match import Overlap, overlaps

ROUTERS = (
    friendship.router, linking.router, card.router, points.router, rank.router,
    coupons.router, topics.router, talk.router,
)  # fmt: skip
ROUTES = in_order(ROUTERS)
BUTTONS = kinds_of(ROUTERS)


async def converse(turn: Turn) -> Replies | None:
    """What the bot says to this event; None where nobody has anything to say or do."""
    replies = await talk.tapped(turn, BUTTONS)
    if replies is not None:
        return replies
    _who, replies = await answer(turn, ROUTES)
    return replies


def built_in_overlaps() -> list[Overlap]:
    """Built-in text rules that meet the same words; there should be none."""
    texts = [(r.name, r.match.match, r.priority) for r in ROUTES if isinstance(r.match, OnText)]
    return overlaps(texts)
