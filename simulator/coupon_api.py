"""The coupon endpoints.

Source: https://developers.line.biz/en/reference/messaging-api/#coupon
"""

from simulator.calls import JSON, Answer, Call, Endpoint, ok, parsed_int
from simulator.errors import LineError
from simulator.rate_limits import SECOND, Rate

STATUSES = frozenset({"DRAFT", "RUNNING", "CLOSED"})
_RATE = Rate(200, SECOND)


def create(call: Call) -> Answer:
    """A coupon that runs."""
    seconds = call.platform.clock.ms() // 1_000
    allow_http = call.platform.settings.allow_http_urls
    coupon = call.channel.coupons.create(call.object(), seconds, allow_http=allow_http)
    return ok({"couponId": coupon.id})


def listed(call: Call) -> Answer:
    """Ids and titles, newest first, a page at a time."""
    limit = parsed_int(call.query("limit"), 20, 100)
    wanted = set((call.query("status") or ",".join(STATUSES)).split(","))
    if not wanted <= STATUSES:
        raise LineError(400, "status must be of DRAFT, RUNNING, CLOSED")
    found = [c for c in reversed(call.channel.coupons.coupons.values()) if c.status in wanted]
    start = call.query("start") or "0"
    first = int(start) if start.isdecimal() else 0
    items = [{"couponId": c.id, "title": c.definition["title"]} for c in found]
    answer: dict[str, object] = {"items": items[first : first + limit]}
    if first + limit < len(items):
        answer["next"] = str(first + limit)
    return ok(answer)


def get(call: Call) -> Answer:
    """One coupon."""
    return ok(call.channel.coupons.get(call.path["couponId"]).public())


def close(call: Call) -> Answer:
    """For good, acquired tickets included."""
    call.channel.coupons.close(call.path["couponId"])
    return ok()


_COUPON = "/v2/bot/coupon"
ENDPOINTS = (
    Endpoint("coupon/create", "POST", _COUPON, create, _RATE, JSON),
    Endpoint("coupon/list", "GET", _COUPON, listed, _RATE),
    Endpoint("coupon/get", "GET", f"{_COUPON}/{{couponId}}", get, _RATE),
    Endpoint("coupon/close", "PUT", f"{_COUPON}/{{couponId}}/close", close, _RATE),
)
