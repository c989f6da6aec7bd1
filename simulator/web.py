"""What the pages and their API share: JSON, problems for people, who and which channel."""

from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simulator import shop as shops
from simulator.channels import Channel
from simulator.errors import LineError, not_found
from simulator.people import Person
from simulator.platform import Platform

_SENTENCES = {
    400: "入力内容を確認してください。",
    404: "見つかりませんでした。",
    409: "ブロック中のため、送れません。",
    502: "お店のサーバーにつながりません。起動しているか確認してください。",
}


class Json(Response):
    """JSON by orjson."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Bytes of any value."""
        return orjson.dumps(content)


def problem(error: LineError) -> Response:
    """A problem for people: one sentence in Japanese, the detail in English."""
    detail = "; ".join([error.message, *(f"{d.property}: {d.message}" for d in error.details)])
    sentence = _SENTENCES.get(error.status, _SENTENCES[400])
    return Json({"error": sentence, "detail": detail}, error.status)


Handler = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler) -> Handler:
    """Turn `LineError` into a problem for people."""

    async def run(request: Request) -> Response:
        try:
            return await handler(request)
        except LineError as error:
            return problem(error)
        except shops.ShopError as error:
            return problem(LineError(502, str(error)))

    return run


def the_platform(request: Request) -> Platform:
    """The platform behind this application."""
    platform: Platform = request.app.state.platform
    return platform


def the_channel(request: Request) -> Channel:
    """The channel of `?channel=`, or the first. Raises 404."""
    platform = the_platform(request)
    wanted = request.query_params.get("channel")
    if wanted is None:
        return platform.first_channel
    if wanted not in platform.channels:
        raise not_found()
    return platform.channels[wanted]


async def json_body(request: Request) -> dict[str, object]:
    """The body as an object; `{}` when there is none. Raises 400."""
    raw = await request.body()
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise LineError(400, "The body must be JSON") from error
    if not isinstance(body, dict):
        raise LineError(400, "The body must be a JSON object")
    return body


def who(request: Request) -> Person:
    """The person in the path. Raises 404."""
    person = the_platform(request).person(request.path_params["user_id"])
    if person is None:
        raise not_found()
    return person
