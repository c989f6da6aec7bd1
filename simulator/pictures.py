"""Pictures without a picture library: reading sizes, drawing faces and a sample photo."""

import colorsys
import hashlib
import html
import struct
import zlib

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
_PNG_HEADER_BYTES = 24
_MARKER_WITHOUT_LENGTH = range(0xD0, 0xDA)
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_HEADERS = 0xDA


def measure(content: bytes) -> tuple[str, int, int] | None:
    """Media type, width and height in pixels of a PNG or JPEG; None for anything else."""
    if content.startswith(PNG) and len(content) >= _PNG_HEADER_BYTES:
        width, height = struct.unpack(">II", content[16:24])
        return "image/png", width, height
    if content.startswith(JPEG):
        return _measure_jpeg(content)
    return None


def _measure_jpeg(content: bytes) -> tuple[str, int, int] | None:
    at = len(JPEG)
    while at + 9 <= len(content) and content[at] == 0xFF:  # noqa: PLR2004  start of a marker
        marker = content[at + 1]
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return "image/jpeg", width, height
        if marker == _END_OF_HEADERS:
            return None
        length = 0 if marker in _MARKER_WITHOUT_LENGTH else int.from_bytes(content[at + 2 : at + 4])
        at += 2 + length
    return None


def hue(seed: str) -> int:
    """A colour angle in degrees, the same for the same seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:2]) % 360


def avatar(seed: str, name: str) -> str:
    """An SVG of 200 × 200: the first letter of the name on a soft colour of the person's own."""
    angle = hue(seed)
    letter = html.escape(name.strip()[:1] or "？")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" width="200" height="200">'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">'
        f'<stop offset="0" stop-color="hsl({angle} 62% 68%)"/>'
        f'<stop offset="1" stop-color="hsl({(angle + 40) % 360} 58% 52%)"/>'
        '</linearGradient></defs><rect width="200" height="200" fill="url(#g)"/>'
        '<text x="100" y="104" text-anchor="middle" dominant-baseline="central" fill="#fff" '
        'font-size="96" font-weight="600" '
        f"font-family=\"'Hiragino Sans','Noto Sans CJK JP','Yu Gothic',sans-serif\">{letter}</text>"
        "</svg>"
    )


def shop_avatar() -> str:
    """An SVG of 200 × 200: a cup of coffee before the sea, for the sample shop."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" width="200" height="200">'
        '<rect width="200" height="200" fill="#123c4a"/>'
        '<path d="M0 150q25-14 50 0t50 0 50 0 50 0v50H0z" fill="#1f6f80"/>'
        '<path d="M52 84h82v34a36 36 0 0 1-36 36H88a36 36 0 0 1-36-36z" fill="#fdf6ec"/>'
        '<path d="M134 94h10a17 17 0 0 1 0 34h-12" fill="none" stroke="#fdf6ec" stroke-width="9"/>'
        '<path d="M76 70q-8-12 0-22t0-20M106 70q-8-12 0-22t0-20" fill="none" stroke="#e8b27d" '
        'stroke-width="7" stroke-linecap="round"/></svg>'
    )


def sample_photo(seed: str, width: int = 480, height: int = 360) -> bytes:
    """A PNG of a soft two-coloured sky, the same for the same seed."""
    top, bottom = _rgb(hue(seed)), _rgb((hue(seed) + 60) % 360)
    rows = b"".join(
        b"\0" + bytes(_mix(a, b, y / height) for a, b in zip(top, bottom, strict=True)) * width
        for y in range(height)
    )
    return png(width, height, rows)


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of 8-bit RGB rows, each led by its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return PNG + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _mix(one: int, other: int, share: float) -> int:
    return round(one + (other - one) * share)


def _rgb(angle: int) -> tuple[int, int, int]:
    """A pastel of this hue."""
    red, green, blue = colorsys.hls_to_rgb(angle / 360, 0.74, 0.6)
    return round(red * 255), round(green * 255), round(blue * 255)
