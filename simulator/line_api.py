"""LINE's API over HTTP: routes, authentication, rate limits, faults, errors in LINE's shape.

A raw ASGI application, as load tests run against it: a push costs the server little more than the
reading of its body.
"""

import asyncio
import re

from starlette.types import Receive, Scope, Send

from simulator import (
    coupon_api,
    oauth_api,
    profiles,
    rich_menu_api,
    sending,
    statistics,
)
from simulator.calls import Answer, Call, Endpoint, refusal
from simulator.errors import LineError, not_found, over_quota, rate_limited, unauthorized
from simulator.faults import Rule
from simulator.ids import new_request_id
from simulator.platform import Platform
from simulator.retry_keys import HEADER as RETRY_KEY

MAX_BODY = 2 * 1024 * 1024
PREFIXES = ("/v2/", "/oauth2/", "/friendship/", "/bot/", "/liff/", "/user/", "/shop/")
ENDPOINTS: tuple[Endpoint, ...] = (
    *sending.ENDPOINTS,
    *statistics.ENDPOINTS,
    *profiles.ENDPOINTS,
    *rich_menu_api.ENDPOINTS,
    *coupon_api.ENDPOINTS,
    *oauth_api.ENDPOINTS,
)
_REQUEST_ID = b"x-line-request-id"
_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


class Routes:
    """Finds the endpoint for a method and path; a trailing slash is another path."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Endpoint]]] = []
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        for path, methods in by_path.items():
            if "{" in path:
                self._patterns.append((_compile(path), methods))
            else:
                self._plain[path] = methods

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Raises `LineError` 404 or 405."""
        methods = self._plain.get(path)
        found: dict[str, str] = {}
        if methods is None:
            methods, found = self._match(path)
        endpoint = methods.get(method)
        if endpoint is None:
            raise LineError(405, "Method Not Allowed", headers={"Allow": ", ".join(methods)})
        return endpoint, found

    def _match(self, path: str) -> tuple[dict[str, Endpoint], dict[str, str]]:
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                return methods, match.groupdict()
        raise not_found()


def _compile(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    pattern = (f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else re.escape(p) for p in parts)
    return re.compile("".join(pattern))


class LineApi:
    """The ASGI application. Every answer carries `X-Line-Request-Id`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._routes = Routes(ENDPOINTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut its connection."""
        try:
            endpoint, path = self._routes.find(scope["method"], scope["path"])
        except LineError as error:
            self._platform.requests["unknown", error.status] += 1
            await _respond(send, refusal(error), new_request_id())
            return
        call = self._open(scope, endpoint, path)
        faults = self._platform.faults
        rule = faults.strike(endpoint.name) if faults.rules else None
        if rule is None:
            answer: Answer | None = await self._run(call, receive)
        else:
            answer = await self._run_with_fault(rule, call, receive)
        self._platform.requests[endpoint.name, answer.status if answer else 0] += 1
        if answer is None:
            await _cut(receive, send)
        else:
            await _respond(send, answer, call.request_id)

    def _open(self, scope: Scope, endpoint: Endpoint, path: dict[str, str]) -> Call:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"localhost").decode("latin-1")
        base_url = f"{scope['scheme']}://{host}"
        query = scope["query_string"]
        return Call(self._platform, endpoint, headers, query, base_url, path=path)

    async def _run(self, call: Call, receive: Receive) -> Answer:
        try:
            call.body = await _read(call, receive)
            self._authenticate(call)
            self._limit(call)
            _require_media_type(call)
            self._refuse_retry_key(call)
            if self._platform.while_travelling is not None:
                await self._platform.while_travelling()
            answer = call.endpoint.handler(call)
            return answer if isinstance(answer, Answer) else await answer
        except LineError as error:
            return refusal(error)

    async def _run_with_fault(self, rule: Rule, call: Call, receive: Receive) -> Answer | None:
        """None: cut the connection."""
        carried_out = rule.kind in {"slow", "cut_after"}
        if rule.kind == "500":
            carried_out = self._platform.faults.heads()
        if rule.kind == "slow":
            await asyncio.sleep(rule.delay_seconds)
        answer = await self._run(call, receive) if carried_out else None
        return answer if rule.kind == "slow" else _FAULTY_ANSWERS[rule.kind]

    def _authenticate(self, call: Call) -> None:
        if call.endpoint.access == "nobody":
            return
        header = call.headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, text = header.partition(" ")
        token = self._platform.tokens.get(text) if scheme.lower() == "bearer" else None
        wanted_person = call.endpoint.access == "person"
        if token is None or (token.kind == "person") != wanted_person:
            raise unauthorized()
        call.token = token
        call.the_channel = self._platform.channels[token.channel_id]

    def _limit(self, call: Call) -> None:
        if not self._platform.settings.rate_limits or call.the_channel is None:
            return
        now = self._platform.clock.elapsed()
        rate = call.endpoint.rate
        if not self._platform.buckets.take(call.channel.id, call.endpoint.name, rate, now):
            raise rate_limited()

    def _refuse_retry_key(self, call: Call) -> None:
        if RETRY_KEY in call.headers and not call.endpoint.retry_key:
            self._platform.violations.add(
                "retry_key_not_allowed",
                call.endpoint.name,
                call.request_id,
                "this endpoint takes no retry key",
            )
            raise LineError(400, "The X-Line-Retry-Key header is not allowed for this endpoint")


_FAULTY_ANSWERS: dict[str, Answer | None] = {
    "cut_before": None,
    "cut_after": None,
    "429": refusal(rate_limited()),
    "401": refusal(unauthorized()),
    "quota": refusal(over_quota()),
    "500": refusal(LineError(500, "Internal server error")),
    "502_html": Answer(502, _GATEWAY_PAGE, media_type=b"text/html"),
}


def _require_media_type(call: Call) -> None:
    wanted = call.endpoint.takes
    if wanted is None:
        return
    given = call.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0]
    if given.strip().lower() != wanted:
        raise LineError(415, "Unsupported Media Type")


async def _read(call: Call, receive: Receive) -> bytes:
    """The whole body. Raises 413 beyond 2 MB."""
    declared = call.headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise LineError(413, "Payload Too Large")
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise LineError(413, "Payload Too Large")
    return body


async def _respond(send: Send, answer: Answer, request_id: str) -> None:
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        (_REQUEST_ID, request_id.encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _cut(receive: Receive, send: Send) -> None:
    """Drop the TCP connection. Without one (in-process tests) raises `ConnectionAbortedError`.

    uvicorn's `send` is a method of its request cycle, which knows the transport.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("the stand-in cut the connection")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
