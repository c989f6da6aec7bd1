"""Whether a webhook body comes from LINE.

Source: https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
"""

import base64
import hmac
from collections.abc import Sequence


def sign(secret: str, raw: bytes) -> str:
    """The `x-line-signature` of a body: Base64 of HMAC-SHA256 over its raw bytes."""
    return base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()


def verify(secrets: Sequence[str], raw: bytes, header: str | bytes | None) -> bool:
    """Whether one of the channel's secrets made this signature.

    LINE lets the old secret go at once when a new one is issued, so during a change both are tried
    and webhooks under way still pass. An empty secret never fits. Comparing takes the same time
    wherever the signatures differ.
    """
    if not header:
        return False
    given = header.encode("utf-8", "replace") if isinstance(header, str) else header
    matches = [
        hmac.compare_digest(sign(secret, raw).encode(), given) for secret in secrets if secret
    ]
    return any(matches)
