"""Words of linking: what the chat, the pages and late news of a link have in common."""

from typing import Any

from core.buttons import ButtonData
from core.runtime import Runtime
from crm.linking import tickets
from crm.linking.links import Linked
from crm.linking.policy import LinkPolicy
from crm.linking.thanks import Thanks

LINK, UNLINK, HELP = "連携", "連携解除", "ヘルプ"
SHOWN = 4
UNLINK_ANY_TIME = f"連携は、トークで「{UNLINK}」と送ると、いつでも解除できます。"
UNLINK_ANY_TIME_EN = f"You can unlink at any time: send “{UNLINK}” in the chat."


class StartLinking(ButtonData):
    """Show the ways to link; the same as typing 連携."""

    kind = "link"


def masked(number: str | None) -> str:
    """A member number of which only the end is shown: ＊＊＊＊0123."""
    if not number:
        return "（番号なし）"
    shown = number[-SHOWN:] if len(number) > SHOWN else number[-1:]
    return f"＊＊＊＊{shown}"


def page_url(runtime: Runtime, way: str, friend_id: int, now: Any) -> str:  # noqa: ANN401
    """A linking page for this friend, for a quarter of an hour."""
    ticket = tickets.issue(runtime.seal, friend_id, now=now)
    return f"{runtime.settings.public_url}/link/{way}/{ticket}"


def pages_open(runtime: Runtime) -> bool:
    """Whether LINE takes links to our pages: https, or http where the demo allows it."""
    settings = runtime.settings
    return settings.public_url.startswith("https://") or settings.allow_http_urls


def thanked(given: Thanks | None) -> str:
    """What was given for linking, as a sentence; empty for nothing."""
    if given is None:
        return ""
    points = f"{given.points:,}ポイント" if given.points else ""
    coupon = f"クーポン「{given.coupon}」" if given.coupon else ""
    what = "と".join(part for part in (points, coupon) if part)
    return f"ご連携のお礼に、{what}を差し上げました。"


def offer(
    runtime: Runtime,
    policy: LinkPolicy,
    friend_id: int,
    now: Any,  # noqa: ANN401
    *,
    switching: str | None = None,
) -> dict[str, Any]:
    """The ways to link that the shop has open, as one bubble.

    `switching` is the masked number of the membership that another one would take the place of.
    """
    buttons = _ways(runtime, policy, friend_id, now)
    title = "別の会員証に切り替え" if switching else "会員連携"
    lead = (
        f"いまは会員番号 {switching} と連携中です。切り替えると、いまの連携は解除されます。"
        if switching
        else "会員証とLINEをつなぐと、ポイントやクーポンをこのトークで使えます。"
    )
    if not buttons:
        lead = "ただいま会員連携を受け付けていません。お店にお問い合わせください。"
    body = [
        _text(lead),
        _text("Link your membership to see points and coupons in this chat.", small=True),
        _text(UNLINK_ANY_TIME, small=True),
    ]
    bubble = _bubble(title, "Link membership", body, buttons)
    return _with_words(_flex(bubble, f"{title}のご案内です。方法をお選びください。"), HELP)


def completed(linked: Linked, shop_name: str) -> dict[str, Any]:
    """The link is there: who one is now, the thanks, and how to end it."""
    body = [
        _text(f"{shop_name or '当店'}の会員証とつながりました。"),
        _row("会員番号", masked(linked.member_number)),
    ]
    if sentence := thanked(linked.thanks):
        body.append(_text(sentence, strong=True))
    body.append(_text(UNLINK_ANY_TIME, small=True))
    title = "連携が完了しました" if linked.new else "すでに連携されています"
    bubble = _bubble(title, "Linked", body, [])
    return _with_words(_flex(bubble, f"{title}。会員番号は{masked(linked.member_number)}です。"),
                       "会員証", "ポイント", "クーポン")  # fmt: skip


def already(number: str | None, switch: str, unlink: str) -> dict[str, Any]:
    """The friend is a member already. `switch` and `unlink` are packed buttons."""
    body = [
        _text("このLINEは、会員証とつながっています。"),
        _row("会員番号", masked(number)),
    ]
    buttons = [
        _button("別の会員証に切り替える", {"type": "postback", "data": switch}),
        _button("連携を解除する", {"type": "postback", "data": unlink}),
    ]
    bubble = _bubble("連携中です", "You are linked", body, buttons)
    return _with_words(_flex(bubble, f"会員番号{masked(number)}と連携中です。"), "会員証", HELP)


def confirm_unlink(number: str | None, yes: str, no: str) -> dict[str, Any]:
    """Ask before ending a link. `yes` and `no` are packed buttons."""
    body = [
        _text("連携を解除しますか？"),
        _row("会員番号", masked(number)),
        _text(
            "ポイントやクーポンは会員証に残り、もう一度連携するとまた使えます。"
            "配信中のご案内は、このLINEには届かなくなります。",
            small=True,
        ),
        _text("Your points stay with your membership.", small=True),
    ]
    buttons = [
        _button("解除する", {"type": "postback", "data": yes, "displayText": "解除する"}),
        _button("やめる", {"type": "postback", "data": no, "displayText": "やめる"}, quiet=True),
    ]
    bubble = _bubble("連携の解除", "Unlink membership", body, buttons)
    return _flex(bubble, "連携を解除しますか？ボタンでお答えください。")


def say(text: str, *words: str) -> dict[str, Any]:
    """A text with quick replies that type these words."""
    return _with_words({"type": "text", "text": text}, *words)


def ask_proof(runtime: Runtime, number: str, friend_id: int, now: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask for what proves an order, with the number kept in the keyboard."""
    message = {
        "type": "text",
        "text": "ご本人の確認のため、注文番号に続けて、ご注文時の電話番号・メールアドレス・"
        f"郵便番号のどれか一つを送ってください。\n例: 注文番号 {number} 090-0000-0000",
    }
    data = AskOrder(number=number).pack(runtime.buttons)
    items = [{
        "type": "action",
        "action": {
            "type": "postback", "label": "続けて入力する", "data": data,
            "inputOption": "openKeyboard", "fillInText": f"注文番号 {number} ",
        },
    }]  # fmt: skip
    if pages_open(runtime):
        url = page_url(runtime, "order", friend_id, now)
        action = {"type": "uri", "label": "画面で入力する", "uri": url}
        items.append({"type": "action", "action": action})
    return message | {"quickReply": {"items": items}}


class AskOrder(ButtonData):
    """The friend wants to link by an order; `number` where they have named it already."""

    kind = "link-order"
    number: str = ""


def _ways(
    runtime: Runtime, policy: LinkPolicy, friend_id: int, now: Any  # noqa: ANN401
) -> list[dict[str, Any]]:  # fmt: skip
    buttons = []
    if policy.account_link and pages_open(runtime):
        label = "会員サイトでログイン" if policy.sign_in_url else "LINEで確認して連携"
        buttons.append(_link(label, page_url(runtime, "start", friend_id, now)))
    if policy.page and pages_open(runtime):
        buttons.append(_link("会員番号で連携", page_url(runtime, "page", friend_id, now)))
    if policy.order:
        data = AskOrder().pack(runtime.buttons)
        action = {
            "type": "postback", "data": data, "displayText": "注文番号で連携",
            "inputOption": "openKeyboard", "fillInText": "注文番号 ",
        }  # fmt: skip
        buttons.append(_button("注文番号で連携", action))
    for index, button in enumerate(buttons):
        button["style"] = "secondary" if index else "primary"
        if not index:
            button["color"] = GREEN
    return buttons


GREEN, INK, SOFT, PALE = "#067D3B", "#23302A", "#5D6B64", "#DDEFE4"


def _bubble(
    title: str, english: str, body: list[dict[str, Any]], buttons: list[dict[str, Any]]
) -> dict[str, Any]:
    head: list[dict[str, Any]] = [
        {"type": "text", "text": title, "weight": "bold", "size": "lg", "color": "#FFFFFF",
         "wrap": True},
        {"type": "text", "text": english, "size": "xs", "color": PALE, "margin": "xs"},
    ]  # fmt: skip
    bubble: dict[str, Any] = {
        "type": "bubble",
        "header": _box(head, backgroundColor=GREEN, paddingAll="18px"),
        "body": _box(body, spacing="md", paddingAll="18px"),
    }
    if buttons:
        bubble["footer"] = _box(buttons, spacing="sm", paddingAll="14px")
    return bubble


def _box(contents: list[dict[str, Any]], **style: str) -> dict[str, Any]:
    return {"type": "box", "layout": "vertical", "contents": contents, **style}


def _text(text: str, *, small: bool = False, strong: bool = False) -> dict[str, Any]:
    look = {"size": "xs", "color": SOFT} if small else {"size": "sm", "color": INK}
    weight = {"weight": "bold"} if strong else {}
    return {"type": "text", "text": text, "wrap": True, **look, **weight}


def _row(label: str, value: str) -> dict[str, Any]:
    cells = [
        {"type": "text", "text": label, "size": "sm", "color": SOFT, "flex": 2},
        {"type": "text", "text": value, "size": "md", "weight": "bold", "color": INK, "flex": 3,
         "align": "end"},
    ]  # fmt: skip
    return {"type": "box", "layout": "baseline", "contents": cells}


def _link(label: str, url: str) -> dict[str, Any]:
    return _button(label, {"type": "uri", "uri": url})


def _button(label: str, action: dict[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    style = "link" if quiet else "secondary"
    return {
        "type": "button", "style": style, "height": "sm", "action": action | {"label": label},
    }  # fmt: skip


def _flex(bubble: dict[str, Any], alt: str) -> dict[str, Any]:
    return {"type": "flex", "altText": alt, "contents": bubble}


def _with_words(message: dict[str, Any], *words: str) -> dict[str, Any]:
    items = [
        {"type": "action", "action": {"type": "message", "label": word, "text": word}}
        for word in words
    ]
    return message | {"quickReply": {"items": items}} if items else message
