"""What the linking pages say: Japanese first, English beside it."""

from typing import NamedTuple

from bot.linking import LINK, UNLINK_ANY_TIME, UNLINK_ANY_TIME_EN

Both = tuple[str, str]


class Told(NamedTuple):
    """A page that only says something."""

    status: int
    look: str
    title: Both
    sentence: Both


ANY_TIME: Both = (UNLINK_ANY_TIME, UNLINK_ANY_TIME_EN)
AGAIN: Both = (
    f"トークで「{LINK}」と送って、新しいリンクからもう一度お試しください。",
    f"Send “{LINK}” in the chat for a new link.",
)

EXPIRED = Told(410, "bad", ("リンクの有効期限が切れました", "This link has expired"), AGAIN)
FORGED = Told(404, "bad", ("このリンクは使えません", "This link cannot be used"), AGAIN)
CLOSED = Told(
    404,
    "bad",
    ("この方法の連携は受け付けていません", "This way of linking is closed"),
    AGAIN,
)
NOT_FOUND = Told(404, "bad", ("ページが見つかりません", "There is no such page"), AGAIN)
WRONG_METHOD = Told(405, "bad", ("この操作はできません", "This cannot be done here"), AGAIN)
UNREADABLE: Both = ("送信された内容を読み取れませんでした", "What was sent cannot be read")
BAD_FORM = {
    400: Told(400, "bad", UNREADABLE, AGAIN),
    403: Told(403, "bad", ("別のサイトからは送信できません", "Sent from another site"), AGAIN),
    413: Told(413, "bad", ("送信された内容が大きすぎます", "What was sent is too large"), AGAIN),
    415: Told(415, "bad", UNREADABLE, AGAIN),
}
LINE_SILENT = Told(
    503,
    "bad",
    ("LINEにつながりませんでした", "LINE does not answer"),
    (
        "少し時間をおいて、もう一度お試しください。まだ何も変わっていません。",
        "Please try again in a moment. Nothing has been changed.",
    ),
)
BUSY = Told(
    503,
    "bad",
    ("ただいま混み合っています", "Busy right now"),
    (
        "少し時間をおいて、もう一度お試しください。まだ何も変わっていません。",
        "Please try again in a moment. Nothing has been changed.",
    ),
)
TOO_MANY_FRIENDS = Told(
    409,
    "bad",
    ("これ以上連携できません", "No more LINE accounts"),
    (
        "この会員証には、連携できる数までLINEアカウントが連携されています。"
        "使わなくなったLINEの連携を解除するか、お店にお問い合わせください。",
        "This membership has as many LINE accounts as it may have.",
    ),
)
WAITING = Told(
    202,
    "wait",
    ("ご注文を待っています", "Waiting for your order"),
    (
        "確認でき次第、自動で連携してトークでお知らせします。番号などが違うときは、戻って入力し直してください。",
        "We will link you and tell you in the chat once it arrives. Go back to correct a mistake.",
    ),
)
ALREADY = Told(
    200,
    "good",
    ("すでに連携されています", "You are linked already"),
    (f"ほかの会員証を使うには、トークで「{LINK}」とお送りください。",
     f"Send “{LINK}” in the chat to use another membership."),
)  # fmt: skip

WRONG: Both = (
    "ご入力の内容では確認できませんでした。会員番号と、お誕生日または電話番号をお確かめください。",
    "We could not confirm this. Please check what you have typed.",
)
INCOMPLETE: Both = (
    "会員番号と、お誕生日または電話番号を入力してください。",
    "Please type your member number, and your birthday or phone number.",
)
ORDER_INCOMPLETE: Both = (
    "注文番号と、ご注文時の電話番号・メールアドレス・郵便番号のどれかを入力してください。",
    "Please type the order number, and the phone, e-mail or postal code of the order.",
)
TOO_MANY: Both = (
    "お手続きの回数が上限に達しました。1時間ほどたってから、もう一度お試しください。",
    "Too many tries. Please try again in an hour.",
)
