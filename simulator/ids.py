"""Identifiers in the shapes LINE uses."""

import base64
import hashlib
import hmac
import re
import secrets

USER_ID = re.compile(r"U[0-9a-f]{32}")
GROUP_ID = re.compile(r"[CR][0-9a-f]{32}")
RICH_MENU_ID = re.compile(r"richmenu-[0-9a-f]{32}")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FIRST_MESSAGE_ID = 580_000_000_000_000_000  # Beyond 2^53, as LINE's are: never a float.
_SEAL_KEY = b"simulator"


def user_id_for(seed: str) -> str:
    """The same user id for the same seed."""
    return "U" + hashlib.sha256(seed.encode()).hexdigest()[:32]


def new_user_id() -> str:
    """A user id nobody has had before."""
    return "U" + secrets.token_hex(16)


def new_request_id() -> str:
    """What LINE puts into `X-Line-Request-Id`: a UUID of version 4."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def new_reply_token() -> str:
    """32 hexadecimal digits."""
    return secrets.token_hex(16)


def ulid(ms: int, seed: str | None = None) -> str:
    """26 characters: 48 bits of time, 80 of chance, or of `seed` where an id must come again."""
    chance = secrets.token_bytes(10) if seed is None else hashlib.sha256(seed.encode()).digest()
    number = (ms << 80) | int.from_bytes(chance[:10], "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -5, -5))


class MessageIds:
    """Ascending decimal strings."""

    def __init__(self) -> None:
        self._last = _FIRST_MESSAGE_ID

    def next(self) -> str:
        """The next id."""
        self._last += 1_000 + secrets.randbelow(9_000)
        return str(self._last)

    def seen(self, message_id: str) -> None:
        """Start after this one, which an earlier life has given out."""
        self._last = max(self._last, int(message_id))


def seal(kind: str, *parts: str) -> str:
    """An opaque token that carries its meaning, such as a quote token."""
    plain = "\n".join((kind, *parts)).encode()
    mac = hmac.digest(_SEAL_KEY, plain, "sha256")[:9]
    return base64.urlsafe_b64encode(mac + plain).decode().rstrip("=")


def unseal(kind: str, token: str) -> tuple[str, ...] | None:
    """What `seal` was given, or None for a token of another kind or a forged one."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    mac, plain = raw[:9], raw[9:]
    if not hmac.compare_digest(mac, hmac.digest(_SEAL_KEY, plain, "sha256")[:9]):
        return None
    head, *parts = plain.decode().split("\n")
    return tuple(parts) if head == kind else None
