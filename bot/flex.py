"""Flex Messages from small parts in the shop's look; each stays within LINE's limits by itself.

Source: https://developers.line.biz/en/reference/messaging-api/#flex-message
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import regex

from core.buttons import ButtonData
from core.line.rules import LOCAL_HOSTS
from core.sealing import Signer
from core.settings import Settings

Part = dict[str, Any]

INK, SOFT, FAINT = "#23302A", "#5D6B64", "#E3DFD5"
GREEN, WHITE, PALE, WARM = "#067D3B", "#FFFFFF", "#F6F4EF", "#B4540A"

MAX_WORDS = 200
MAX_CHARACTERS = 600  # code points: one visible character may be made of many
MAX_JOINED = 8
MAX_LABEL = 20
MAX_ALT = 400
MAX_QUICK_REPLIES = 13

_UNSENDABLE = regex.compile(r"[\p{Cc}\p{Cs}]+")


def cut(words: str, most: int = MAX_WORDS) -> str:
    """The words without control characters, cut to so many visible ones; never empty."""
    plain = _UNSENDABLE.sub(" ", words).strip() or "—"
    # Cut first: names come from outside, and splitting a huge one would take long.
    room = min(MAX_CHARACTERS, most * MAX_JOINED)
    visible = regex.findall(r"\X", plain[:room])
    if len(visible) <= most and len(plain) <= room:
        return plain
    return "".join(visible[: most - 1]) + "…"


def brightness(colour: str) -> float:
    """How bright a colour like #FF6600 is, from 0 to 1: relative luminance as WCAG 2 has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]  # noqa: PLR2004
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ink_on(colour: str) -> str:
    """White or dark, whichever is read better on this colour."""
    return WHITE if brightness(colour) < 0.4 else INK  # noqa: PLR2004


def readable(colour: str) -> str:
    """The colour for words on white, or our ink where it is too light to be read."""
    return colour if brightness(colour) < 0.4 else INK  # noqa: PLR2004


def text(words: str, **style: Any) -> Part:  # noqa: ANN401
    """A text that wraps; style as LINE names it."""
    return {"type": "text", "text": cut(words), "wrap": True, "color": INK, "size": "sm"} | style


def number(words: str, **style: Any) -> Part:  # noqa: ANN401
    """A figure on one line, made smaller where it does not fit."""
    style = {"weight": "bold", "wrap": False, "adjustMode": "shrink-to-fit"} | style
    return text(words, **style)


def box(layout: str, *contents: Part | None, **style: Any) -> Part:  # noqa: ANN401
    """A box of what is there; None is left out."""
    held = [part for part in contents if part is not None]
    return {"type": "box", "layout": layout, "contents": held} | style


def vertical(*contents: Part | None, **style: Any) -> Part:  # noqa: ANN401
    """One below the other."""
    return box("vertical", *contents, **style)


def beside(*contents: Part | None, **style: Any) -> Part:  # noqa: ANN401
    """One beside the other."""
    return box("horizontal", *contents, **style)


def pair(label: str, value: str, **style: Any) -> Part:  # noqa: ANN401
    """What something is, and how much."""
    return beside(
        text(label, color=SOFT, flex=4),
        text(value, align="end", flex=6, **style),
        spacing="md",
    )


def heading(ja: str, en: str, *, colour: str = GREEN, above: str = "") -> Part:
    """The coloured top of a bubble."""
    ink = ink_on(colour)
    return vertical(
        text(above, color=f"{ink}DD", size="xs", maxLines=1) if above else None,
        box(
            "baseline",
            text(ja, color=ink, weight="bold", size="lg", flex=0, wrap=False),
            text(en, color=f"{ink}DD", size="xs", margin="md", wrap=False),
        ),
        backgroundColor=colour,
        paddingAll="16px",
        paddingTop="14px",
        paddingBottom="14px",
    )


def separator(margin: str = "lg") -> Part:
    """A fine line."""
    return {"type": "separator", "margin": margin, "color": FAINT}


def bar(share: float, colour: str) -> Part:
    """How far one has come, as a bar; `share` from 0 to 1."""
    percent = min(100, max(0, round(share * 100)))
    full = vertical(width=f"{percent}%", height="8px", backgroundColor=colour, cornerRadius="4px")
    return vertical(full, height="8px", backgroundColor=FAINT, cornerRadius="4px", margin="sm")


def chip(words: str, colour: str) -> Part:
    """A word on a coloured ground."""
    return vertical(
        text(words, color=ink_on(colour), size="xs", weight="bold", align="center", maxLines=1),
        backgroundColor=colour,
        cornerRadius="12px",
        paddingAll="4px",
        paddingStart="10px",
        paddingEnd="10px",
    )


def says(words: str) -> Part:
    """An action that types the words."""
    return {"type": "message", "label": cut(words, MAX_LABEL), "text": cut(words, MAX_WORDS)}


def taps(label: str, data: ButtonData, signer: Signer, *, shown: str = "") -> Part:
    """An action that sends our own data; `shown` appears as typed by the customer."""
    action = {"type": "postback", "label": cut(label, MAX_LABEL), "data": data.pack(signer)}
    return action | {"displayText": cut(shown or label)}


def opens(label: str, address: str) -> Part:
    """An action that opens a page."""
    return {"type": "uri", "label": cut(label, MAX_LABEL), "uri": address}


def button(action: Part, style: str = "secondary", **more: Any) -> Part:  # noqa: ANN401
    """A button; `primary` is the shop's green."""
    made = {"type": "button", "action": action, "style": style, "height": "sm"}
    return made | ({"color": GREEN} if style in {"primary", "link"} else {}) | more


def bubble(
    *, body: Part, header: Part | None = None, footer: Part | None = None, size: str = "mega"
) -> Part:
    """One card."""
    blocks = {"header": header, "body": body, "footer": footer}
    held = {name: block for name, block in blocks.items() if block is not None}
    return {"type": "bubble", "size": size, **held}


def carousel(bubbles: Sequence[Part]) -> Part:
    """Cards side by side; a single one stands alone."""
    return bubbles[0] if len(bubbles) == 1 else {"type": "carousel", "contents": list(bubbles)}


def message(alt: str, contents: Part, words: Sequence[str] = ()) -> Part:
    """The message; `alt` is what notifications and old phones show, `words` are quick replies."""
    made = {"type": "flex", "altText": cut(alt, MAX_ALT), "contents": contents}
    items = [{"type": "action", "action": says(word)} for word in dict.fromkeys(words)]
    return made | ({"quickReply": {"items": items[:MAX_QUICK_REPLIES]}} if items else {})


def takes_pictures(settings: Settings) -> bool:
    """Whether LINE would fetch pictures from our address: https, or this machine in the demo."""
    address = urlsplit(settings.public_url)
    return address.scheme == "https" or (
        settings.allow_http_urls and address.hostname in LOCAL_HOSTS
    )


def day(moment: datetime, zone: ZoneInfo) -> str:
    """A day as people write it: 2027年3月31日."""
    local = moment.astimezone(zone)
    return f"{local.year}年{local.month}月{local.day}日"


def last_day(end: datetime, zone: ZoneInfo) -> str:
    """The last day on which something is good that ends at this moment."""
    return day(end - timedelta(microseconds=1), zone)
