"""Coupons made through the API.

Source: https://developers.line.biz/en/reference/messaging-api/#coupon
"""

import secrets
from dataclasses import dataclass, field

from simulator.checks import (
    Check,
    Findings,
    anything,
    by_type,
    matching,
    number,
    one_of,
    shape,
    text,
    url,
    whole,
)
from simulator.errors import InvalidBody, LineError
from simulator.state import Documents, Store

MAX_VALID = 5_000
_MANY = 1_000_000_000_000
_percentage = shape({"type": anything, "percentage": whole(1, 99)})
_fixed = shape({"type": anything, "fixedAmount": whole(1, _MANY)})
_explicit = shape(
    {"type": anything, "originalPrice": whole(0, _MANY), "priceAfterDiscount": whole(0, _MANY)}
)
_discount = by_type({"fixed": _fixed, "percentage": _percentage, "explicit": _explicit})
_cash_back = by_type({"fixed": _fixed, "percentage": _percentage})
_plain = shape({"type": anything})


def _once_or_always(value: object, path: str, found: Findings) -> None:
    if value not in {1, -1} or isinstance(value, bool):
        found.add(path, "Must be 1 or -1")


def _acquired(value: object, path: str, found: Findings) -> None:
    if value != -1:
        whole(1, 999_999)(value, path, found)


_REQUIRED: dict[str, Check] = {
    "title": text(60),
    "startTimestamp": number(0, _MANY),
    "endTimestamp": number(0, _MANY),
    "timezone": matching("[A-Z_0-9]+"),
    "visibility": one_of("PUBLIC", "UNLISTED"),
    "maxUseCountPerTicket": _once_or_always,
    "acquisitionCondition": by_type(
        {
            "normal": _plain,
            "lottery": shape(
                {"type": anything, "lotteryProbability": whole(1, 99), "maxAcquireCount": _acquired}
            ),
        }
    ),
    "reward": by_type(
        {
            "discount": shape({"type": anything, "priceInfo": _discount}),
            "cashBack": shape({"type": anything, "priceInfo": _cash_back}),
            "free": _plain,
            "gift": _plain,
            "others": _plain,
        }
    ),
}
_OPTIONAL: dict[str, Check] = {
    "description": text(1_000, least=0),
    "usageCondition": text(100, least=0),
    "couponCode": text(16),
    "imageUrl": url,
    "barcodeImageUrl": url,
}
_request = shape(_REQUIRED, _OPTIONAL)


def check_coupon(body: object, now_seconds: float, *, allow_http: bool = False) -> Findings:
    """What is wrong with the body of a create request; unknown properties are wrong here."""
    found = Findings(allow_http=allow_http)
    _request(body, "", found)
    for path in found.unknown:
        found.add(path, "Unknown property")
    if isinstance(body, dict) and not found.details:
        if body["endTimestamp"] <= now_seconds:
            found.add("endTimestamp", "Must be in the future")
        if body["endTimestamp"] <= body["startTimestamp"]:
            found.add("endTimestamp", "Must be after startTimestamp")
    return found


@dataclass(slots=True)
class Coupon:
    """One coupon; `created` in seconds since 1970."""

    id: str
    channel_id: str
    created: int
    definition: dict[str, object]
    status: str = "RUNNING"

    def public(self) -> dict[str, object]:
        """As LINE's API shows it."""
        return {
            "couponId": self.id,
            "status": self.status,
            "createdTimestamp": self.created,
            "maxTicketPerUser": 1,
            **self.definition,
        }


@dataclass(slots=True)
class Coupons:
    """The coupons of one channel."""

    channel_id: str
    store: Store
    coupons: dict[str, Coupon] = field(default_factory=dict)

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept."""
        for document in documents.get("coupon", {}).values():
            if document["channel_id"] == self.channel_id:
                coupon = Coupon(**document)  # type: ignore[arg-type]
                self.coupons[coupon.id] = coupon

    def create(self, body: dict[str, object], now_seconds: int, *, allow_http: bool) -> Coupon:
        """Raises `InvalidBody`, or 400 beyond 5,000 valid coupons."""
        found = check_coupon(body, now_seconds, allow_http=allow_http)
        if found.details:
            raise InvalidBody(found.details)
        if sum(c.status == "RUNNING" for c in self.coupons.values()) >= MAX_VALID:
            raise LineError(400, "The maximum number of valid coupons has been reached")
        coupon = Coupon(secrets.token_hex(13).upper(), self.channel_id, now_seconds, body)
        return self._keep(coupon)

    def get(self, coupon_id: str) -> Coupon:
        """Raises 404."""
        if coupon_id not in self.coupons:
            raise LineError(404, "Not found")
        return self.coupons[coupon_id]

    def close(self, coupon_id: str) -> None:
        """For good. Raises 404, and 410 when it is closed already."""
        coupon = self.get(coupon_id)
        if coupon.status == "CLOSED":
            raise LineError(410, "The coupon is already closed")
        coupon.status = "CLOSED"
        self._keep(coupon)

    def _keep(self, coupon: Coupon) -> Coupon:
        self.coupons[coupon.id] = coupon
        self.store.put("coupon", coupon.id, coupon)
        return coupon
