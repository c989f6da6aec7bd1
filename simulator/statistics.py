"""Quota, consumption, delivery counts, aggregation units and insight.

Sources: https://developers.line.biz/en/reference/messaging-api/#get-quota and #get-insight
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from simulator.calls import Answer, Call, Endpoint, ok, parsed_int
from simulator.channels import Channel
from simulator.chats import Accepted, Message
from simulator.clock import iso, japan_day, japan_month, to_ms
from simulator.errors import LineError
from simulator.rate_limits import HOUR, Rate

PRIVACY_THRESHOLD = 20
MAX_UNIT_DAYS = 30
INSIGHT = Rate(60, HOUR)
_FIRST_DAY = "20180331"
_SENDERS = {
    "apiBroadcast": "broadcast",
    "apiPush": "push",
    "apiMulticast": "multicast",
    "apiNarrowcast": "narrowcast",
    "apiReply": "reply",
}


def quota(call: Call) -> Answer:
    """The month's cap."""
    cap = call.channel.monthly_quota
    return ok({"type": "none"} if cap is None else {"type": "limited", "value": cap})


def consumption(call: Call) -> Answer:
    """What counts against the cap this month."""
    month = japan_month(call.platform.clock.ms())
    return ok({"totalUsage": call.channel.usage[month]})


def _day(call: Call, name: str = "date") -> str:
    day = call.required(name)
    try:
        datetime.strptime(day, "%Y%m%d")  # noqa: DTZ007  a day in Japan
    except ValueError as error:
        raise LineError(400, f"The value for the '{name}' parameter is invalid") from error
    return day


def _status(call: Call, day: str) -> str:
    """Figures of a day are ready on the next one."""
    if day < _FIRST_DAY:
        return "out_of_service"
    return "ready" if day < japan_day(call.platform.clock.ms()) else "unready"


def delivered(call: Call) -> Answer:
    """Messages of one kind sent on a day."""
    day = _day(call)
    status = _status(call, day)
    kind = call.endpoint.name.rpartition("/")[2]
    answer: dict[str, object] = {"status": status}
    if status == "ready":
        answer["success"] = call.channel.sent[kind, day]
    return ok(answer)


def unit_count(call: Call) -> Answer:
    """How many aggregation units were named this month."""
    names = call.channel.units.get(japan_month(call.platform.clock.ms()), {})
    return ok({"numOfCustomAggregationUnits": len(names)})


def unit_names(call: Call) -> Answer:
    """The names, a page at a time."""
    limit = parsed_int(call.query("limit"), 100, 100)
    names = sorted(call.channel.units.get(japan_month(call.platform.clock.ms()), {}))
    return ok(page("customAggregationUnits", names, call.query("start"), limit))


def page(name: str, items: list[str], start: str | None, limit: int) -> dict[str, object]:
    """One page of a list with `next` where more follows. Raises 400 for a foreign `start`."""
    if start is not None and not start.isdecimal():
        raise LineError(400, "The value for the 'start' parameter is invalid")
    first = int(start or 0)
    answer: dict[str, object] = {name: items[first : first + limit]}
    if first + limit < len(items):
        answer["next"] = str(first + limit)
    return answer


def narrowcast_progress(call: Call) -> Answer:
    """Narrowcasts are done at once here."""
    accepted = call.channel.by_request_id.get(call.required("requestId"))
    if accepted is None or accepted.endpoint != "narrowcast":
        raise LineError(404, "Not found")
    reached = len(accepted.delivered_to)
    done = {"phase": "succeeded", "successCount": reached, "failureCount": 0}
    when = iso(accepted.at)
    return ok({**done, "targetCount": reached, "acceptedTime": when, "completedTime": when})


def followers(call: Call) -> Answer:
    """Friends ever added, friends that can be reached, friends that have blocked."""
    now = call.platform.clock.ms()
    day = _day(call) if call.query("date") else japan_day(now - 24 * 60 * 60 * 1_000)
    status = _status(call, day)
    if status != "ready":
        return ok({"status": status})
    end = to_ms(datetime.strptime(day + "+0900", "%Y%m%d%z") + timedelta(days=1))
    known = [f for f in call.channel.friends.values() if f.followed_at and f.followed_at < end]
    blocked = sum(f.blocked_at is not None and f.blocked_at < end for f in known)
    reached = len(known) - blocked
    counts = {"followers": len(known), "targetedReaches": reached, "blocks": blocked}
    return ok({"status": status, **counts})


def deliveries(call: Call) -> Answer:
    """Messages sent on a day, by the way they were sent."""
    day = _day(call)
    status = _status(call, day)
    answer: dict[str, object] = {"status": status}
    if status == "ready":
        sent = call.channel.sent
        answer |= {name: sent[kind, day] for name, kind in _SENDERS.items() if sent[kind, day]}
    return ok(answer)


def message_event(call: Call) -> Answer:
    """Of a broadcast or narrowcast; nobody's opening is known here, so figures are null."""
    request_id = call.required("requestId")
    accepted = call.channel.by_request_id.get(request_id)
    if accepted is None or accepted.endpoint not in {"broadcast", "narrowcast"}:
        return ok({"overview": {"requestId": request_id}, "messages": [], "clicks": []})
    overview = {
        "requestId": request_id,
        "timestamp": accepted.at // 1_000,
        "delivered": len(accepted.delivered_to),
        **_unknown("uniqueImpression", "uniqueClick", "uniqueMediaPlayed"),
        "uniqueMediaPlayed100Percent": None,
    }
    return ok({"overview": overview, **_bubbles(accepted.messages, unit=False)})


def unit_event(call: Call) -> Answer:
    """Of push and multicast under one aggregation unit; without `delivered`, as with LINE."""
    unit = call.required("customAggregationUnit")
    first, last = _day(call, "from"), _day(call, "to")
    if not first <= last <= _days_later(first, MAX_UNIT_DAYS):
        raise LineError(400, f"to must be within {MAX_UNIT_DAYS} days from from")
    sent = [a for a in _of_unit(call.channel, unit) if first <= japan_day(a.at) <= last]
    names = ("uniqueImpression", "uniqueClick", "uniqueMediaPlayed", "uniqueMediaPlayed100Percent")
    messages = sent[-1].messages if sent else []
    return ok({"overview": _unknown(*names), **_bubbles(messages, unit=True)})


def _of_unit(channel: Channel, unit: str) -> list[Accepted]:
    return [a for a in channel.by_request_id.values() if a.unit == unit]


def _days_later(day: str, days: int) -> str:
    when = datetime.strptime(day, "%Y%m%d") + timedelta(days=days)  # noqa: DTZ007  a day in Japan
    return when.strftime("%Y%m%d")


def _unknown(*names: str) -> dict[str, None]:
    return dict.fromkeys(names)


def _bubbles(messages: list[Message], *, unit: bool) -> dict[str, object]:
    names = ("impression", "mediaPlayed", *(("uniqueImpression",) if unit else ()))
    bubbles = [{"seq": n, **_unknown(*names)} for n, _ in enumerate(messages, 1)]
    clicks = [
        {"seq": n, "url": url, **_unknown("click", "uniqueClick", "uniqueClickOfRequest")}
        for n, message in enumerate(messages, 1)
        for url in dict.fromkeys(_urls(message))
    ]
    return {"messages": bubbles, "clicks": clicks}


def _urls(value: object) -> list[str]:
    """The web addresses of all URI actions in a message."""
    if isinstance(value, list):
        return [url for part in value for url in _urls(part)]
    if not isinstance(value, dict):
        return []
    here = [
        value[name]
        for name in ("uri", "linkUri")
        if isinstance(value.get(name), str) and urlsplit(value[name]).scheme in {"http", "https"}
    ]
    return here + [url for part in value.values() for url in _urls(part)]


def demographic(call: Call) -> Answer:
    """Not available below 20 friends; nobody's age or sex is known here."""
    if len(call.channel.followers()) < PRIVACY_THRESHOLD:
        return ok({"available": False})
    everybody = 100.0
    return ok(
        {
            "available": True,
            "genders": [{"gender": "unknown", "percentage": everybody}],
            "ages": [{"age": "unknown", "percentage": everybody}],
            "areas": [{"area": "unknown", "percentage": everybody}],
            "appTypes": [{"appType": "others", "percentage": everybody}],
            "subscriptionPeriods": [{"subscriptionPeriod": "unknown", "percentage": everybody}],
        }
    )


def rich_menu_insight(call: Call) -> Answer:
    """Below 20 different people who tapped, LINE shows nothing but the id."""
    menu = call.channel.rich_menus.get(call.path["richMenuId"])
    first, last = _day(call, "from"), _day(call, "to")
    if first > last:
        raise LineError(400, "from must not be after to")
    return ok({"richMenuId": menu.id})


_MESSAGE = "/v2/bot/message"
_INSIGHT = "/v2/bot/insight"
ENDPOINTS = (
    Endpoint("quota", "GET", f"{_MESSAGE}/quota", quota),
    Endpoint("quota/consumption", "GET", f"{_MESSAGE}/quota/consumption", consumption),
    *(
        Endpoint(f"delivery/{kind}", "GET", f"{_MESSAGE}/delivery/{kind}", delivered)
        for kind in ("reply", "push", "multicast", "broadcast")
    ),
    Endpoint("aggregation/info", "GET", f"{_MESSAGE}/aggregation/info", unit_count),
    Endpoint("aggregation/list", "GET", f"{_MESSAGE}/aggregation/list", unit_names),
    Endpoint("progress/narrowcast", "GET", f"{_MESSAGE}/progress/narrowcast", narrowcast_progress),
    Endpoint("insight/followers", "GET", f"{_INSIGHT}/followers", followers, INSIGHT),
    Endpoint("insight/delivery", "GET", f"{_INSIGHT}/message/delivery", deliveries, INSIGHT),
    Endpoint("insight/event", "GET", f"{_INSIGHT}/message/event", message_event, INSIGHT),
    Endpoint(
        "insight/aggregation", "GET", f"{_INSIGHT}/message/event/aggregation", unit_event, INSIGHT
    ),
    Endpoint("insight/demographic", "GET", f"{_INSIGHT}/demographic", demographic, INSIGHT),
    *(
        Endpoint(
            f"insight/richmenu/{kind}",
            "GET",
            f"{_INSIGHT}/richmenu/{{richMenuId}}/{kind}",
            rich_menu_insight,
            INSIGHT,
        )
        for kind in ("summary", "daily")
    ),
)
