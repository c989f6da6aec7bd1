"""Keys made from the one secret key: encrypting what is stored, signing what goes out, tokens."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import StartError

TOKEN_PREFIX = "okaeri_"  # noqa: S105 - a prefix by which secret scanners know our tokens


class Seal:
    """Encrypts and signs with keys derived from the secret key, one for each purpose."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()
        self._fernet = Fernet(urlsafe_b64encode(self._derive("encrypt")))

    def encrypt(self, text: str) -> str:
        """Text for a database column, readable only with the secret key."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """The text again; raises `StartError` when the secret key is another one now."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise StartError(
                "What is stored cannot be read with this OKAERI_SECRET_KEY; "
                "set the key that was used when it was written."
            ) from None

    def signer(self, purpose: str) -> "Signer":
        """A signer whose signatures serve this purpose alone."""
        return Signer(self._derive(f"sign:{purpose}"))

    def _derive(self, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._secret)


class Signer:
    """Short signatures (HMAC-SHA256 cut to 80 bits) for data that comes back from outside."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, text: str) -> str:
        """Fourteen characters that only we can make for this text."""
        digest = hmac.digest(self._key, text.encode(), "sha256")[:10]
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def verify(self, text: str, signature: str) -> bool:
        """Whether we signed this text; in constant time."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "replace"))


def new_token() -> str:
    """A bearer token of 256 random bits; store only its `token_hash`."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """SHA-256 in hex: enough for 256 random bits; slow hashes are for passwords people choose."""
    return hashlib.sha256(token.encode()).hexdigest()
