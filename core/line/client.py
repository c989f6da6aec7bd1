"""The calls to LINE, over one shared session.

Plain JSON over aiohttp: a push through the official SDK costs seven times the processor time.
"""

import io
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from types import TracebackType
from typing import Self
from uuid import UUID

import aiohttp
import orjson
import regex
from yarl import URL

from core.line import endpoints
from core.line.accounts import (
    BotInfo,
    FollowerPage,
    Profile,
    Quota,
    WebhookEndpoint,
    WebhookTest,
    read_bot_info,
    read_followers,
    read_profile,
    read_quota,
    read_usage,
    read_webhook_endpoint,
    read_webhook_test,
)
from core.line.answers import Answer, Outcome, Reply, outcome_of, read_answer, shorten
from core.line.endpoints import Endpoint, SendKind
from core.line.errors import LineError
from core.line.limits import LOADING_SECONDS
from core.line.problems import Problem

__all__ = [
    "Answer",
    "BotInfo",
    "Endpoint",
    "FollowerPage",
    "LineClient",
    "LineError",
    "OnCall",
    "Outcome",
    "Profile",
    "Quota",
    "Reply",
    "SendKind",
    "WebhookEndpoint",
    "WebhookTest",
]

OnCall = Callable[[str, int | None, float], None]

API_URL = "https://api.line.me"
DATA_API_URL = "https://api-data.line.me"

logger = logging.getLogger(__name__)
_TOKEN = regex.compile("[!-~]+")
_NONE: Mapping[str, str] = {}
_JSON = {"Content-Type": "application/json"}
_ANSWER_BYTES = 1 << 20
# Beyond this aiohttp warns that bytes given whole would hold up the event loop.
_WHOLE_BODY_BYTES = 1 << 20

# Raised while there is no connection yet, so not a byte of the request can have left. All others
# may come after LINE has read the request, also on a kept-alive connection that LINE closes.
_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
_FAILED = (aiohttp.ClientError, OSError, ValueError, EOFError)


class LineClient:
    """Talks to the LINE platform for any number of channels: each call takes the access token.

    To be made inside a running event loop and closed with `aclose()`, or used with `async with`.
    `on_call` is told of each call: LINE's name of the operation, the HTTP status (None when there
    was no answer) and the seconds it took.
    """

    def __init__(
        self,
        api_url: str = API_URL,
        data_api_url: str = DATA_API_URL,
        *,
        connections: int = 200,
        total_seconds: float = 10,
        connect_seconds: float = 3,
        read_seconds: float = 8,
        on_call: OnCall | None = None,
    ) -> None:
        self._bases = {False: api_url.rstrip("/"), True: data_api_url.rstrip("/")}
        self._on_call = on_call
        self._timeout = aiohttp.ClientTimeout(
            total=total_seconds,
            connect=connect_seconds,
            sock_connect=connect_seconds,
            sock_read=read_seconds,
        )
        # A large file may take its time as long as it keeps coming.
        self._stream_timeout = aiohttp.ClientTimeout(
            total=None,
            connect=connect_seconds,
            sock_connect=connect_seconds,
            sock_read=read_seconds,
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            headers={"User-Agent": "okaeri"},
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; calls under way end as `unknown`."""
        await self._session.close()

    async def send(
        self, kind: SendKind, token: str, body: bytes, *, retry_key: UUID | None
    ) -> Answer:
        """Post exactly these bytes once, and say what became of them.

        Nothing that LINE or the network does is raised. A push, multicast or broadcast without a
        retry key can never be repeated safely; a reply must not have one (ValueError), since LINE
        refuses it there.
        Source: https://developers.line.biz/en/docs/messaging-api/retrying-api-request/
        """
        if kind is SendKind.reply and retry_key is not None:
            raise ValueError("LINE refuses a retry key on a reply")
        headers = {"X-Line-Retry-Key": str(retry_key)} if retry_key else {}
        try:
            reply = await self._exchange(endpoints.SENDING[kind], token, body, headers=headers)
        except LineError as error:
            return Answer(error.outcome, error.status, detail=error.detail)
        return read_answer(kind, reply, repeatable=retry_key is not None)

    async def call(
        self,
        endpoint: Endpoint,
        token: str,
        *parts: str,
        json: object = None,
        data: bytes | None = None,
        content_type: str = "application/json",
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any other call; returns the 2xx answer. `parts` are the ids of the path.

        Raises LineError for every other answer, and when there was none.
        """
        body = orjson.dumps(json) if json is not None else data
        reply = await self._exchange(
            endpoint, token, body, *parts, headers={"Content-Type": content_type}, params=params
        )
        outcome = outcome_of(reply)
        if outcome is not Outcome.accepted:
            raise LineError(reply.status, reply.detail(), outcome)
        return reply

    async def bot_info(self, token: str) -> BotInfo:
        """The account itself: user id, basic id, name, chat mode."""
        return read_bot_info(await self.call(endpoints.BOT_INFO, token))

    async def profile(self, token: str, user_id: str) -> Profile | None:
        """A user's profile; None for who blocked us, never befriended us or is unknown."""
        reply = await self._call_or_none(endpoints.PROFILE, token, user_id)
        return read_profile(reply) if reply else None

    async def followers(self, token: str, start: str | None = None) -> FollowerPage:
        """User ids of friends, page by page; verified and premium accounts only (403 else)."""
        params = {"limit": "1000"} | ({"start": start} if start else {})
        return read_followers(await self.call(endpoints.FOLLOWERS, token, params=params))

    async def quota(self, token: str) -> Quota:
        """How many messages the account may send in a month."""
        return read_quota(await self.call(endpoints.QUOTA, token))

    async def quota_consumption(self, token: str) -> int:
        """How many messages of this month's quota are used, approximately and some minutes late."""
        return read_usage(await self.call(endpoints.QUOTA_CONSUMPTION, token))

    async def webhook_endpoint(self, token: str) -> WebhookEndpoint | None:
        """Where LINE sends webhooks; None while no URL is set."""
        reply = await self._call_or_none(endpoints.WEBHOOK, token)
        return read_webhook_endpoint(reply) if reply else None

    async def set_webhook_endpoint(self, token: str, url: str) -> None:
        """Have LINE send webhooks to an https URL of up to 500 characters, within a minute."""
        await self.call(endpoints.SET_WEBHOOK, token, json={"endpoint": url})

    async def test_webhook_endpoint(self, token: str, url: str | None = None) -> WebhookTest:
        """Have LINE send an empty webhook to `url`, or to the URL that is set."""
        json = {"endpoint": url} if url else {}
        return read_webhook_test(await self.call(endpoints.TEST_WEBHOOK, token, json=json))

    async def validate(self, kind: SendKind, token: str, messages: object) -> list[Problem]:
        """Ask LINE itself whether it would take these messages; nothing is sent.

        Raises LineError when LINE said neither yes nor what is wrong.
        """
        body = orjson.dumps({"messages": messages})
        endpoint = endpoints.VALIDATING[kind]
        reply = await self._exchange(endpoint, token, body)
        if reply.status == HTTPStatus.BAD_REQUEST:
            return _problems_of(reply)
        if (outcome := outcome_of(reply)) is not Outcome.accepted:
            raise LineError(reply.status, reply.detail(), outcome)
        return []

    async def issue_link_token(self, token: str, user_id: str) -> str:
        """A token for account linking: valid 10 minutes, for one use, never to be logged."""
        reply = await self.call(endpoints.LINK_TOKEN, token, user_id)
        link_token = reply.json_object().get("linkToken")
        if not isinstance(link_token, str) or not link_token:
            raise LineError(reply.status, "the answer holds no link token", Outcome.unknown)
        return link_token

    async def show_loading(self, token: str, user_id: str, seconds: int = 20) -> None:
        """Show in a 1-to-1 chat that an answer is coming, for 5, 10, … 60 seconds."""
        if seconds not in LOADING_SECONDS:
            raise ValueError("the loading animation takes 5, 10, 15 … 60 seconds")
        json = {"chatId": user_id, "loadingSeconds": seconds}
        await self.call(endpoints.LOADING, token, json=json)

    async def message_content(self, token: str, message_id: str) -> AsyncIterator[bytes]:
        """The file a user sent, in pieces as they come.

        Raises LineError: with status 202 while LINE still prepares a large file (outcome
        `unknown`, ask again later), 404 or 410 when it is gone, and when the file is cut short.
        """
        async with self._stream(endpoints.CONTENT, token, message_id) as response:
            if response.status != HTTPStatus.OK:
                raise _no_content(await _read(response))
            async for piece in response.content.iter_any():
                yield piece

    async def _call_or_none(self, endpoint: Endpoint, token: str, *parts: str) -> Reply | None:
        try:
            return await self.call(endpoint, token, *parts)
        except LineError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _exchange(
        self,
        endpoint: Endpoint,
        token: str,
        body: bytes | None,
        *parts: str,
        headers: Mapping[str, str] = _NONE,
        params: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request and its whole answer; whatever goes wrong on the way is a LineError."""
        request = self._request(endpoint, token, body, parts, headers, params=params)
        reply, began = None, perf_counter()
        try:
            async with request as response:
                reply = await _read(response)
        except _FAILED as error:
            # LINE may answer before it has read everything and then cut: the answer stands.
            if reply is None:
                raise _no_answer(error, None) from error
        finally:
            self._tell(endpoint.operation, reply.status if reply else None, perf_counter() - began)
        return reply

    @asynccontextmanager
    async def _stream(
        self, endpoint: Endpoint, token: str, *parts: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, its answer still to be read; whatever goes wrong is a LineError."""
        request = self._request(endpoint, token, None, parts, _NONE, patience=self._stream_timeout)
        began, status = perf_counter(), None
        try:
            async with request as response:
                status = response.status
                yield response
        except LineError:
            raise
        except _FAILED as error:
            raise _no_answer(error, status) from error
        finally:
            self._tell(endpoint.operation, status, perf_counter() - began)

    def _request(
        self,
        endpoint: Endpoint,
        token: str,
        body: bytes | None,
        parts: tuple[str, ...],
        headers: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        patience: aiohttp.ClientTimeout | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url, all_headers = self._prepare(endpoint, token, parts, headers)
        return self._session.request(
            endpoint.method,
            url,
            params=params,
            data=_payload(body),
            headers=all_headers,
            timeout=patience or self._timeout,
            allow_redirects=False,
        )

    def _prepare(
        self, endpoint: Endpoint, token: str, parts: tuple[str, ...], headers: Mapping[str, str]
    ) -> tuple[URL, dict[str, str]]:
        if not _TOKEN.fullmatch(token):
            raise LineError(None, "the access token is empty or malformed", Outcome.bad_token)
        try:
            path = endpoint.fill(*parts)
        except ValueError as error:
            raise LineError(None, str(error), Outcome.refused) from error
        url = URL(self._bases[endpoint.data] + path, encoded=True)
        return url, {**_JSON, **headers, "Authorization": f"Bearer {token}"}

    def _tell(self, operation: str, status: int | None, seconds: float) -> None:
        if self._on_call is None:
            return
        try:
            self._on_call(operation, status, seconds)
        except Exception:
            # A counter that fails must not turn a sent message into an error.
            logger.exception("on_call failed for %s", operation)


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) > _WHOLE_BODY_BYTES else body


async def _read(response: aiohttp.ClientResponse) -> Reply:
    """The answer with as much of its body as came, up to 1 MiB: the status alone decides."""
    body, content = b"", response.content
    try:
        while piece := await content.readany():
            body += piece
            if len(body) > _ANSWER_BYTES:
                response.close()
                break
    except _FAILED:
        response.close()
    return Reply(response.status, response.headers, body)


def _no_answer(error: BaseException, status: int | None) -> LineError:
    if isinstance(error, _NEVER_SENT):
        return LineError(None, _words(error), Outcome.not_sent)
    return LineError(status, _words(error), Outcome.unknown)


def _no_content(reply: Reply) -> LineError:
    outcome = outcome_of(reply)
    if outcome is Outcome.accepted:
        return LineError(reply.status, "the content is not ready yet", Outcome.unknown)
    return LineError(reply.status, reply.detail(), outcome)


def _words(error: BaseException) -> str:
    return shorten(f"{type(error).__name__}: {error}")


def _problems_of(reply: Reply) -> list[Problem]:
    details = reply.json_object().get("details")
    problems = [
        _problem(str(detail.get("property") or "messages"), str(detail.get("message") or ""))
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, dict)
    ]
    return problems or [_problem("messages", reply.detail())]


def _problem(path: str, said: str) -> Problem:
    words = shorten(said)
    return Problem(shorten(path), f"LINE says: {words}", f"LINEの回答: {words}")
