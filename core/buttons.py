"""Button data: typed objects packed into LINE's postback string, signed, versioned, size-checked.

A packed string reads `kind.version.expiry.payload.signature`. LINE allows 300 characters
(https://developers.line.biz/en/reference/messaging-api/#postback-action), and old messages keep
sending old data for years, so what comes back is trusted only when we signed it.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import OkaeriError
from core.sealing import Signer

MAX_DATA = 300
MAX_FOREIGN = 1_000


class ButtonTooLong(OkaeriError):
    """The data does not fit LINE's 300 characters."""

    def __init__(self, kind: str, length: int) -> None:
        super().__init__(f"The data of button {kind!r} takes {length} of {MAX_DATA} characters.")
        self.kind, self.length = kind, length


class ForeignButton(OkaeriError):
    """The data was not signed by us, or is of a kind or version that we no longer know."""


class ExpiredButton(OkaeriError):
    """The button was ours and may no longer be used."""


class ButtonData(BaseModel):
    """Base of all button data. Give each subclass a `kind`; raise `version` when fields change."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]
    version: ClassVar[int] = 1

    def pack(self, signer: Signer, *, expires_at: datetime | None = None) -> str:
        """The string for a postback action; raises `ButtonTooLong`."""
        payload = urlsafe_b64encode(orjson.dumps(list(self.model_dump(mode="json").values())))
        expiry = f"{int(expires_at.timestamp()):x}" if expires_at else ""
        head = f"{self.kind}.{self.version}.{expiry}.{payload.decode().rstrip('=')}"
        packed = f"{head}.{signer.sign(head)}"
        if len(packed) > MAX_DATA:
            raise ButtonTooLong(self.kind, len(packed))
        return packed

    @classmethod
    def _from_values(cls, values: list[Any]) -> Self:
        return cls.model_validate(dict(zip(cls.model_fields, values, strict=True)))


class Choice(ButtonData):
    """A button that staff wrote into a message: the word that they gave it."""

    kind: ClassVar[str] = "choice"
    value: str


def unpack(
    data: str, kinds: Iterable[type[ButtonData]], signer: Signer, *, now: datetime
) -> ButtonData:
    """The typed object again; raises `ForeignButton` or `ExpiredButton`."""
    head, _, signature = data.rpartition(".")
    parts = head.split(".")
    if len(data) > MAX_FOREIGN or len(parts) != 4 or not signer.verify(head, signature):  # noqa: PLR2004
        raise ForeignButton("This button is not one of ours.")
    kind, version, expiry, payload = parts
    if expiry and datetime.fromtimestamp(int(expiry, 16), UTC) < now:
        raise ExpiredButton("This button has expired.")
    model = next((k for k in kinds if k.kind == kind and str(k.version) == version), None)
    if model is None:
        raise ForeignButton(f"Buttons of kind {kind!r} version {version} are no longer known.")
    return _read(model, payload)


def _read(model: type[ButtonData], payload: str) -> ButtonData:
    try:
        values = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return model._from_values(values)  # noqa: SLF001 - the base's own
    except (ValueError, ValidationError, BadBase64) as error:
        raise ForeignButton(f"Buttons of kind {model.kind!r} have changed.") from error
