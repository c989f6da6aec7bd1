"""Around every request: an id for it, a count of it, and an answer whatever goes wrong inside."""

from uuid import uuid4

from fastapi.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin.api.handlers import unexpected
from core import metrics

OK = 200
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


class Envelope:
    """Middleware of the admin API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.request_id = uuid4().hex
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = request.state.request_id.encode()
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - the last stop: everything else has had its turn
            response = unexpected(request, error)
            if not status:
                await response(scope, receive, send_with_id)
        finally:
            _count(scope, status)


def _count(scope: Scope, status: int) -> None:
    found = scope.get("route")
    route = found.path if isinstance(found, Route) else "docs" if status == OK else "unmatched"
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
