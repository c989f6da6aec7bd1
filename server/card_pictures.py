"""Pictures for tills to scan: a member number as a barcode, a code as a QR code."""

from io import BytesIO

import segno
from barcode import get_barcode_class  # type: ignore[import-untyped]
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 960, 320
MARGIN = 20
QUIET_MODULES = 10  # white that scanners want on each side of a barcode
LEAST_MODULE = 3  # pixels: thinner bars are lost when a phone makes the picture smaller
QUIET_QR = 4


def member_picture(number: str) -> bytes:
    """A PNG of 960 × 320: Code 128 where the number fits it, else a QR code of the number."""
    modules = _code_128(number)
    picture = _bars(modules) if modules else _square(number)
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def qr_svg(code: str, about: str) -> str:
    """A QR code as SVG to stand in a page; `about` is its name for who cannot see it."""
    made = segno.make(code, error="m", micro=False)
    return str(made.svg_inline(border=QUIET_QR, omitsize=True, title=about, light="#fff"))


def _code_128(number: str) -> str:
    """The bars as ones and zeros; empty where they would be too thin, or letters are not ASCII."""
    if not (number.isascii() and number.isprintable()):
        return ""
    [modules] = get_barcode_class("code128")(number).build()
    return modules if _module(modules) >= LEAST_MODULE else ""


def _module(modules: str) -> int:
    return WIDTH // (len(modules) + 2 * QUIET_MODULES)


def _bars(modules: str) -> Image.Image:
    picture = Image.new("1", (WIDTH, HEIGHT), 1)
    draw = ImageDraw.Draw(picture)
    wide = _module(modules)
    left = (WIDTH - wide * len(modules)) // 2
    for place, module in enumerate(modules):
        if module == "1":
            x = left + place * wide
            draw.rectangle((x, MARGIN, x + wide - 1, HEIGHT - MARGIN), fill=0)
    return picture


def _square(number: str) -> Image.Image:
    made = segno.make(number, error="m", micro=False)
    rows = [bytes(row) for row in made.matrix_iter(scale=1, border=QUIET_QR)]
    side = len(rows)
    small = Image.new("1", (side, side), 1)
    small.putdata([0 if cell else 1 for row in rows for cell in row])
    scale = max(1, HEIGHT // side)
    large = small.resize((side * scale, side * scale), Image.Resampling.NEAREST)
    picture = Image.new("1", (WIDTH, HEIGHT), 1)
    picture.paste(large, ((WIDTH - large.width) // 2, (HEIGHT - large.height) // 2))
    return picture
