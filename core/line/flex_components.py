"""The components inside a flex bubble: boxes, texts, images, buttons and the rest.

Source: https://developers.line.biz/en/reference/messaging-api/#flex-message-components and the
official OpenAPI description, from which the words for sizes, spacing and alignment are taken.
"""

from core.line.actions import ACTIONS, Place
from core.line.problems import Check
from core.line.rules import (
    Kinds,
    Rule,
    Shape,
    anything,
    boolean,
    choice,
    items,
    matching,
    resource_url,
    text,
    whole,
)

# LINE names no depth; nobody can see more than a few levels, and ours must end somewhere.
NESTING = 40

_ASPECT_MOST = 100_000
_RATIO_CHARACTERS = len("100000:100000")

_PX = r"[0-9]{1,6}(?:\.[0-9]{1,6})?px"
_PERCENT = r"[0-9]{1,6}(?:\.[0-9]{1,6})?%"
_GAPS = "none|xs|sm|md|lg|xl|xxl"
_SIZES = "xxs|xs|sm|md|lg|xl|xxl|3xl|4xl|5xl"

COLOUR = matching("#[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{2})?", "#FF6600 or #FF6600CC", most=9)
_gap = matching(f"{_GAPS}|{_PX}", "none, xs, sm, md, lg, xl, xxl or 10px", most=20)
_padding = matching(f"{_GAPS}|{_PX}|{_PERCENT}", "md, 10px or 5%", most=20)
_offset = matching(f"{_GAPS}|-?{_PX}|-?{_PERCENT}", "md, 10px or 5%", most=20)
_length = matching(f"{_PX}|{_PERCENT}", "120px or 50%", most=20)
_border = matching(
    f"none|light|normal|medium|semi-bold|bold|{_PX}", "none, light, normal, bold or 2px", most=20
)
_font_size = matching(f"{_SIZES}|{_PX}", "sm, md, lg, xl or 15px", most=20)
_image_size = matching(f"{_SIZES}|full|{_PX}|{_PERCENT}", "md, full, 120px or 50%", most=20)
_line_spacing = matching(_PX, "6px", most=20)
_angle = matching(
    r"(?:[0-9]|[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9])(?:\.[0-9]+)?deg", "90deg", most=20
)
_percent = matching(_PERCENT, "50%", most=20)
_ratio = matching("[1-9][0-9]{0,5}:[1-9][0-9]{0,5}", "20:13", most=_RATIO_CHARACTERS)
_flex = whole()
_weight = choice("regular", "bold")
_style = choice("normal", "italic")
_decoration = choice("none", "underline", "line-through")
_action = ACTIONS[Place.flex]

_PLACED: dict[str, Rule] = {
    "position": choice("relative", "absolute"),
    "offsetTop": _offset,
    "offsetBottom": _offset,
    "offsetStart": _offset,
    "offsetEnd": _offset,
    "margin": _gap,
}


def _aspect(check: Check, component: dict[str, object], path: str) -> None:
    """Width and height are 1 to 100000, and the height at most three times the width."""
    ratio = component.get("aspectRatio")
    if not isinstance(ratio, str) or not ratio.isascii():
        return
    width, _, height = ratio.partition(":")
    if not (width.isdigit() and height.isdigit()) or len(ratio) > _RATIO_CHARACTERS:
        return
    if max(int(width), int(height)) > _ASPECT_MOST or int(height) > 3 * int(width):
        check.report(
            f"{path}.aspectRatio",
            "Width and height go up to 100000, and the height up to three times the width.",
            "縦横比は100000まで、高さは幅の3倍までです。",
        )


def _image(check: Check, component: dict[str, object], path: str) -> None:
    check.animated_images += component.get("animated") is True
    _aspect(check, component, path)


def _text_or_spans(check: Check, component: dict[str, object], path: str) -> None:
    if "text" not in component and "contents" not in component:
        check.missing(path, "text")


def _in_box(check: Check, box: dict[str, object], path: str) -> None:
    """Baseline boxes hold icons, texts and fillers; other boxes hold everything but icons."""
    contents, layout = box.get("contents"), box.get("layout")
    if not isinstance(contents, list | tuple):
        return
    for index, component in enumerate(contents):
        kind = component.get("type") if isinstance(component, dict) else None
        if layout == "baseline" and kind in ("box", "button", "image", "separator"):
            check.report(
                f"{path}.contents[{index}].type",
                f"A {kind} cannot stand in a box with layout baseline.",
                f"layout が baseline のボックスに {kind} は置けません。",
            )
        elif layout in ("horizontal", "vertical") and kind == "icon":
            check.report(
                f"{path}.contents[{index}].type",
                "An icon can stand only in a box with layout baseline.",
                "icon は layout が baseline のボックスにしか置けません。",
            )


def nested_box(check: Check, value: object, path: str) -> None:
    """A box, as long as the tree is not absurdly deep."""
    if check.nesting >= NESTING:
        check.report(
            path,
            f"Boxes are nested more than {NESTING} deep.",
            f"ボックスの入れ子が{NESTING}段を超えています。",
        )
        return
    check.nesting += 1
    _BOX(check, value, path)
    check.nesting -= 1


_ICON = Shape(
    {
        **_PLACED,
        "type": anything,
        "url": resource_url,
        "size": _font_size,
        "aspectRatio": _ratio,
        "scaling": boolean,
    },
    required="url",
    further=_aspect,
)

_SPAN = Shape(
    {
        "type": anything,
        "text": text(5000),
        "size": _font_size,
        "color": COLOUR,
        "weight": _weight,
        "style": _style,
        "decoration": _decoration,
    },
    required="text",
)

_SPAN_ELSEWHERE = {
    "span": (
        "A span can stand only in the contents of a text.",
        "span は text の contents の中にしか置けません。",
    )
}

_TEXT = Shape(
    {
        **_PLACED,
        "type": anything,
        "text": text(5000),
        "contents": items(Kinds({"span": _SPAN}), 1),
        "flex": _flex,
        "size": _font_size,
        "align": choice("start", "end", "center"),
        "gravity": choice("top", "bottom", "center"),
        "color": COLOUR,
        "weight": _weight,
        "style": _style,
        "decoration": _decoration,
        "wrap": boolean,
        "lineSpacing": _line_spacing,
        "maxLines": whole(),
        "adjustMode": choice("shrink-to-fit"),
        "scaling": boolean,
        "action": _action,
    },
    further=_text_or_spans,
)

IMAGE = Shape(
    {
        **_PLACED,
        "type": anything,
        "url": resource_url,
        "flex": _flex,
        "align": choice("start", "end", "center"),
        "gravity": choice("top", "bottom", "center"),
        "size": _image_size,
        "aspectRatio": _ratio,
        "aspectMode": choice("fit", "cover"),
        "backgroundColor": COLOUR,
        "animated": boolean,
        "action": _action,
    },
    required="url",
    further=_image,
)

_BUTTON = Shape(
    {
        **_PLACED,
        "type": anything,
        "flex": _flex,
        "color": COLOUR,
        "style": choice("primary", "secondary", "link"),
        "height": choice("md", "sm"),
        "gravity": choice("top", "bottom", "center"),
        "adjustMode": choice("shrink-to-fit"),
        "scaling": boolean,
        "action": ACTIONS[Place.flex_button],
    },
    required="action",
)

_SEPARATOR = Shape({"type": anything, "margin": _gap, "color": COLOUR})
_FILLER = Shape({"type": anything, "flex": _flex})

_GRADIENT = Kinds(
    {
        "linearGradient": Shape(
            {
                "type": anything,
                "angle": _angle,
                "startColor": COLOUR,
                "endColor": COLOUR,
                "centerColor": COLOUR,
                "centerPosition": _percent,
            },
            required="angle startColor endColor",
        )
    }
)

_ONLY_HERO = {
    "video": (
        "A video can stand only as the hero of a bubble.",
        "video はバブルの hero にしか置けません。",
    )
}

_COMPONENT = Kinds(
    {
        "box": nested_box,
        "button": _BUTTON,
        "image": IMAGE,
        "icon": _ICON,
        "text": _TEXT,
        "separator": _SEPARATOR,
        "filler": _FILLER,
    },
    _ONLY_HERO | _SPAN_ELSEWHERE,
)

_BOX = Shape(
    {
        **_PLACED,
        "type": anything,
        "layout": choice("horizontal", "vertical", "baseline"),
        "contents": items(_COMPONENT, 0),
        "flex": _flex,
        "spacing": _gap,
        "backgroundColor": COLOUR,
        "borderColor": COLOUR,
        "borderWidth": _border,
        "cornerRadius": _gap,
        "width": _length,
        "maxWidth": _length,
        "height": _length,
        "maxHeight": _length,
        "paddingAll": _padding,
        "paddingTop": _padding,
        "paddingBottom": _padding,
        "paddingStart": _padding,
        "paddingEnd": _padding,
        "justifyContent": choice(
            "center", "flex-start", "flex-end", "space-between", "space-around", "space-evenly"
        ),
        "alignItems": choice("center", "flex-start", "flex-end"),
        "background": _GRADIENT,
        "action": _action,
    },
    required="layout contents",
    further=_in_box,
)

VIDEO = Shape(
    {
        "type": anything,
        "url": resource_url,
        "previewUrl": resource_url,
        "altContent": Kinds({"box": nested_box, "image": IMAGE}),
        "aspectRatio": _ratio,
        "action": _action,
    },
    required="url previewUrl altContent",
    further=_aspect,
)
