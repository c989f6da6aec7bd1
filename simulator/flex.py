"""Flex messages: containers, blocks, components, and their sizes.

Source: https://developers.line.biz/en/reference/messaging-api/#flex-message
"""

import orjson

from simulator.actions import Place, action
from simulator.checks import (
    Check,
    Findings,
    anything,
    boolean,
    by_type,
    either,
    join,
    listing,
    matching,
    one_of,
    shape,
    text,
    url,
    whole,
)

MAX_BUBBLE_BYTES = 30 * 1024
MAX_CAROUSEL_BYTES = 50 * 1024
MAX_BUBBLES = 12
MAX_ANIMATED = 10
MAX_HEIGHT_TO_WIDTH = 3
_MANY = 10_000  # LINE states no number; the JSON's size is the limit.
_SCALE = ("none", "xs", "sm", "md", "lg", "xl", "xxl")
_FONTS = ("xxs", "xs", "sm", "md", "lg", "xl", "xxl", "3xl", "4xl", "5xl")
_PIXELS = r"\d+(\.\d+)?px"
_PIXELS_OR_PERCENT = r"\d+(\.\d+)?(px|%)"

_color = matching(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})", "Must be a colour as #RRGGBB or #RRGGBBAA")
_flex = whole(0, _MANY)
_spacing = either(*_SCALE, pattern=_PIXELS)
_padding = either(*_SCALE, pattern=_PIXELS_OR_PERCENT)
_offset = either(*_SCALE, pattern=r"-?" + _PIXELS_OR_PERCENT)
_length = matching(_PIXELS_OR_PERCENT, "Must be a length in px or %")
_font = either(*_FONTS, pattern=_PIXELS)
_ratio = matching(r"[1-9]\d{0,5}(\.\d+)?:[1-9]\d{0,5}(\.\d+)?", "Must be width:height")
_align = one_of("start", "end", "center")
_gravity = one_of("top", "bottom", "center")
_tap = action(Place.flex)

_placed: dict[str, Check] = {
    "position": one_of("relative", "absolute"),
    "offsetTop": _offset,
    "offsetBottom": _offset,
    "offsetStart": _offset,
    "offsetEnd": _offset,
    "margin": _spacing,
}
_lettering: dict[str, Check] = {
    "text": text(_MANY),
    "size": _font,
    "color": _color,
    "weight": one_of("regular", "bold"),
    "style": one_of("normal", "italic"),
    "decoration": one_of("none", "underline", "line-through"),
}


def _image_is_not_too_tall(value: dict[str, object], path: str, found: Findings) -> None:
    ratio = value.get("aspectRatio")
    try:
        width, height = map(float, ratio.split(":")) if isinstance(ratio, str) else (1.0, 1.0)
    except ValueError:
        return  # The shape of the ratio has been found wrong already.
    if height > width * MAX_HEIGHT_TO_WIDTH:
        found.add(join(path, "aspectRatio"), "The height cannot be more than 3 times the width")


def _count_animated(value: dict[str, object], path: str, found: Findings) -> None:
    found.animated += value.get("animated") is True


def _text_says_something(value: dict[str, object], path: str, found: Findings) -> None:
    if not value.get("text") and not value.get("contents"):
        found.add(join(path, "text"), "Must be non-empty text")


_span = shape({"type": one_of("span")}, _lettering)

_button = shape(
    {"type": anything, "action": action(Place.flex_button)},
    {
        **_placed,
        "flex": _flex,
        "color": _color,
        "style": one_of("primary", "secondary", "link"),
        "gravity": _gravity,
        "height": one_of("md", "sm"),
        "adjustMode": one_of("shrink-to-fit"),
        "scaling": boolean,
    },
)
_image = shape(
    {"type": anything, "url": url},
    {
        **_placed,
        "flex": _flex,
        "align": _align,
        "gravity": _gravity,
        "size": either(*_FONTS, "full", pattern=_PIXELS_OR_PERCENT),
        "aspectRatio": _ratio,
        "aspectMode": one_of("fit", "cover"),
        "backgroundColor": _color,
        "action": _tap,
        "animated": boolean,
    },
    _image_is_not_too_tall,
    _count_animated,
)
_icon = shape(
    {"type": anything, "url": url},
    {**_placed, "size": _font, "aspectRatio": _ratio, "scaling": boolean},
    _image_is_not_too_tall,
)
_text = shape(
    {"type": anything},
    {
        **_placed,
        **_lettering,
        "text": text(_MANY, least=0),  # `_text_says_something` sees to emptiness.
        "flex": _flex,
        "align": _align,
        "gravity": _gravity,
        "wrap": boolean,
        "lineSpacing": matching(_PIXELS, "Must be a length in px"),
        "action": _tap,
        "maxLines": whole(0, _MANY),
        "contents": listing(_span, 0, _MANY),
        "adjustMode": one_of("shrink-to-fit"),
        "scaling": boolean,
    },
    _text_says_something,
)
_separator = shape({"type": anything}, {"margin": _spacing, "color": _color})
_filler = shape({"type": anything}, {"flex": _flex})
_gradient = shape(
    {
        "type": one_of("linearGradient"),
        "angle": matching(r"(\d|[1-9]\d|[12]\d\d|3[0-5]\d)(\.\d+)?deg", "Must be 0deg to 359.9deg"),
        "startColor": _color,
        "endColor": _color,
    },
    {"centerColor": _color, "centerPosition": matching(r"(\d{1,2}(\.\d+)?|100)%")},
)


def _box(value: object, path: str, found: Findings) -> None:
    """A box; what it may hold depends on its layout."""
    if not isinstance(value, dict) or value.get("type") != "box":
        found.add(join(path, "type"), "Must be one of the following values: [box]")
        return
    layout = value.get("layout")
    _boxes["baseline" if layout == "baseline" else "block"](value, path, found)


def _box_of(child: Check, layouts: tuple[str, ...]) -> Check:
    return shape(
        {"type": one_of("box"), "layout": one_of(*layouts), "contents": listing(child, 0, _MANY)},
        {
            **_placed,
            "flex": _flex,
            "spacing": _spacing,
            "backgroundColor": _color,
            "borderColor": _color,
            "borderWidth": either(
                "none", "light", "normal", "medium", "semi-bold", "bold", pattern=_PIXELS
            ),
            "cornerRadius": either(*_SCALE, pattern=_PIXELS),
            "width": _length,
            "maxWidth": _length,
            "height": _length,
            "maxHeight": _length,
            **{f"padding{side}": _padding for side in ("All", "Top", "Bottom", "Start", "End")},
            "action": _tap,
            "justifyContent": one_of(
                "center", "flex-start", "flex-end", "space-between", "space-around", "space-evenly"
            ),
            "alignItems": one_of("center", "flex-start", "flex-end"),
            "background": _gradient,
        },
    )


_boxes: dict[str, Check] = {
    "baseline": _box_of(by_type({"text": _text, "icon": _icon, "filler": _filler}), ("baseline",)),
    "block": _box_of(
        by_type(
            {
                "box": _box,
                "button": _button,
                "image": _image,
                "text": _text,
                "separator": _separator,
                "filler": _filler,
            }
        ),
        ("horizontal", "vertical"),
    ),
}
_video = shape(
    {
        "type": anything,
        "url": url,
        "previewUrl": url,
        "altContent": by_type({"box": _box, "image": _image}),
    },
    {"aspectRatio": _ratio, "action": action(Place.flex)},
)
_block_style = shape(
    {}, {"backgroundColor": _color, "separator": boolean, "separatorColor": _color}
)
_styles = shape({}, dict.fromkeys(("header", "hero", "body", "footer"), _block_style))
_SIZES = ("nano", "micro", "deca", "hecto", "kilo", "mega", "giga")
_VIDEO_SIZES = ("kilo", "mega", "giga")


def _has_video(bubble: dict[str, object]) -> bool:
    hero = bubble.get("hero")
    return isinstance(hero, dict) and hero.get("type") == "video"


def _bubble_rules(value: dict[str, object], path: str, found: Findings) -> None:
    if not any(value.get(block) for block in ("header", "hero", "body", "footer")):
        found.add(path, "At least one block must be specified")
    if _has_video(value) and value.get("size", "mega") not in _VIDEO_SIZES:
        found.add(join(path, "size"), "A video needs a bubble of size kilo, mega or giga")
    if len(orjson.dumps(value)) > MAX_BUBBLE_BYTES:
        found.add(path, "The size of a bubble must be 30 KB or less")


def _carousel_rules(value: dict[str, object], path: str, found: Findings) -> None:
    contents = value.get("contents")
    bubbles = [b for b in contents if isinstance(b, dict)] if isinstance(contents, list) else []
    if len({bubble.get("size", "mega") for bubble in bubbles}) > 1:
        found.add(join(path, "contents"), "All bubbles of a carousel must have the same size")
    if any(map(_has_video, bubbles)):
        found.add(join(path, "contents"), "A video cannot be used in a carousel")
    if len(orjson.dumps(value)) > MAX_CAROUSEL_BYTES:
        found.add(path, "The size of a carousel must be 50 KB or less")


_bubble = shape(
    {"type": one_of("bubble")},
    {
        "size": one_of(*_SIZES),
        "direction": one_of("ltr", "rtl"),
        "header": _box,
        "hero": by_type({"box": _box, "image": _image, "video": _video}),
        "body": _box,
        "footer": _box,
        "styles": _styles,
        "action": _tap,
    },
    _bubble_rules,
)
_container = by_type(
    {
        "bubble": _bubble,
        "carousel": shape(
            {"type": anything, "contents": listing(_bubble, 1, MAX_BUBBLES)}, None, _carousel_rules
        ),
    }
)


def container(value: object, path: str, found: Findings) -> None:
    """A bubble or a carousel."""
    before = found.animated
    _container(value, path, found)
    if found.animated - before > MAX_ANIMATED:
        found.add(path, f"At most {MAX_ANIMATED} images can be animated")
