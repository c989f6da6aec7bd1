"""通知設定: what the customer hears about, topic by topic, so that nobody needs to block the shop.

Friends who are not linked choose too: their choices go along when they link.
"""

from collections.abc import Sequence

from bot import flex
from bot.flex import Part
from bot.handlers import membership
from bot.handlers.membership import TOPICS, SetTopic, ShowTopics
from bot.router import Router, text_is
from bot.turn import Replies, Turn
from core.errors import Invalid
from crm.customers import locking, topics
from crm.customers.models import Topic

router = Router("topics")

MAX_DESCRIPTION = 50
DESCRIBED = 12  # with more topics, descriptions would not fit into LINE's 30 KB


@router.on(
    text_is("通知設定", "つうちせってい", "通知", "設定", "配信設定", "settings", "notifications"),
    priority=10,
)
async def typed(turn: Turn) -> Replies:
    """By word."""
    return await show(turn)


@router.tap(ShowTopics)
async def tapped(turn: Turn, button: ShowTopics) -> Replies:
    """By button."""
    return await show(turn)


async def show(turn: Turn) -> Replies:
    """All topics, and what the customer said of each."""
    membership.asked(turn, "topics")
    return [await _settings(turn)]


@router.tap(SetTopic)
async def choose(turn: Turn, button: SetTopic) -> Replies:
    """Note the choice, and say it back with the new state of all."""
    customer_id = turn.friend.customer_id
    await locking.lock(turn.session, [customer_id])
    try:
        await topics.decide(
            turn.session, customer_id, button.topic, button.on, source="chat", now=turn.now
        )
    except Invalid:
        gone: Part = {"type": "text", "text": "この項目はなくなりました。いまの設定はこちらです。"}
        return [gone, await _settings(turn)]
    names = {topic.key: topic.name for topic in await topics.all_topics(turn.session)}
    name = flex.cut(names[button.topic])
    done = f"「{name}」をお届けします。" if button.on else f"「{name}」のお届けを止めました。"
    said: Part = {"type": "text", "text": done}
    return [said, await _settings(turn)]


async def _settings(turn: Turn) -> Part:
    every = await topics.all_topics(turn.session)
    said = await topics.decisions(turn.session, turn.friend.customer_id)
    return message(turn, [(topic, said[topic.key]) for topic in every])


def message(turn: Turn, states: Sequence[tuple[Topic, bool]]) -> Part:
    """The topics as a message."""
    described = len(states) <= DESCRIBED
    rows = [_row(turn, topic, on, described=described) for topic, on in states]
    body = flex.vertical(
        flex.text("受け取りたいお知らせだけをお選びください。", weight="bold"),
        flex.text(
            "お店をブロックしなくても、ここでいつでも止められます。", size="xs", color=flex.SOFT
        ),
        *(part for row in rows for part in (flex.separator("md"), row)),
        flex.separator("md"),
        flex.text(
            "ご注文やポイントの確定など、大切なご連絡はこの設定にかかわらずお届けします。",
            size="xxs", color=flex.SOFT,
        ),
        spacing="md",
    )  # fmt: skip
    header = flex.heading("通知設定", "What you hear about", above=membership.shop_name(turn))
    contents = flex.bubble(header=header, body=body)
    return flex.message(_alt(states), contents, membership.others(TOPICS))


def _alt(states: Sequence[tuple[Topic, bool]]) -> str:
    said = "、".join(f"{topic.name}は{'オン' if on else 'オフ'}" for topic, on in states)
    return f"通知設定です。{said}。"


def _row(turn: Turn, topic: Topic, on: bool, *, described: bool) -> Part:  # noqa: FBT001
    label = "止める" if on else "受け取る"
    button = SetTopic(topic=topic.key, on=not on)
    shown = f"{flex.cut(topic.name)}を{label}"
    action = flex.taps(label, button, turn.runtime.buttons, shown=shown)
    about = topic.description.strip() if described else ""
    return flex.beside(
        flex.vertical(
            flex.text(topic.name, weight="bold", maxLines=2),
            flex.text(flex.cut(about, MAX_DESCRIPTION), size="xxs", color=flex.SOFT)
            if about
            else None,
            flex.text(
                "● オン" if on else "○ オフ",
                size="xs", weight="bold", color=flex.GREEN if on else flex.SOFT,
            ),
            flex=7,
        ),
        flex.button(action, "secondary" if on else "primary", flex=5, gravity="center"),
        spacing="md",
        alignItems="center",
    )  # fmt: skip
