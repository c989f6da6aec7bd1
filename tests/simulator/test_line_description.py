"""The stand-in's answers held against LINE's official OpenAPI description.

The description lies beside the checkout where the project is developed; elsewhere there is nothing
to hold against, and the test says so.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient, Request, Response

from simulator.line_api import ENDPOINTS
from simulator.platform import Platform
from tests.simulator.helpers import CHANNEL, HANA, HELLO, KEY, ask, push
from tests.simulator.test_coupons import coupon
from tests.simulator.test_rich_menus import MENU, create

FOLDER = Path(__file__).parents[3] / "shared" / "line" / "openapi"
FILES = ("messaging-api", "insight", "channel-access-token")
# Ours beyond the three files: LINE Login's endpoints.
_BEYOND = {"/v2/profile", "/friendship/v1/status"}


class Description:
    """The paths and schemas of one or more YAML files."""

    def __init__(self, folder: Path) -> None:
        yaml = import_module("yaml")
        self._schema_of = import_module("jsonschema").Draft4Validator
        self._documents = [
            yaml.load((folder / f"{name}.yml").read_text(), Loader=yaml.CSafeLoader)
            for name in FILES
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation for our path, whatever its parameters are called."""
        for document in self._documents:
            for known, methods in document["paths"].items():
                if _same(known, path) and method.lower() in methods:
                    return {"document": document, **methods[method.lower()]}
        return None

    def check(self, answer: Response, path: str) -> None:
        """The status is described, and the body fits its schema."""
        operation = self.operation(answer.request.method, path)
        assert operation is not None, path
        described = operation["responses"]
        assert str(answer.status_code) in described, (path, answer.text)
        content = described[str(answer.status_code)].get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is not None:
            whole = {**schema, "components": operation["document"]["components"]}
            errors = list(self._schema_of(_nullable(whole)).iter_errors(answer.json()))
            assert errors == [], path


def _same(known: str, ours: str) -> bool:
    parts = list(zip(known.split("/"), ours.split("/"), strict=False))
    if known.count("/") != ours.count("/"):
        return False
    return all(a == b or (a.startswith("{") and b.startswith("{")) for a, b in parts)


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in words of JSON Schema."""
    if isinstance(schema, list):
        return [_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _nullable(value) for key, value in schema.items()}
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        found["type"] = [schema["type"], "null"]
    return found


@pytest.fixture(scope="module")
def line() -> Description | None:
    """LINE's description, None where it does not lie beside the checkout."""
    return Description(FOLDER) if FOLDER.is_dir() else None


def test_every_endpoint_is_one_of_lines(line: Description | None) -> None:
    if line is None:
        assert not FOLDER.exists()
        return

    unknown = {
        f"{endpoint.method} {endpoint.path}"
        for endpoint in ENDPOINTS
        if endpoint.path not in _BEYOND and line.operation(endpoint.method, endpoint.path) is None
    }

    assert unknown == {"POST /oauth2/v2.1/verify"}  # Verifying ID tokens is LINE Login's.


async def test_answers_fit_the_description(
    line: Description | None, client: AsyncClient, platform: Platform
) -> None:
    if line is None:
        assert not FOLDER.exists()
        return

    for path, answer in await _answers(client, platform):
        line.check(answer, path)


def test_an_answer_that_does_not_fit_is_found(line: Description | None) -> None:
    if line is None:
        assert not FOLDER.exists()
        return

    request = Request("GET", "https://line.test/")
    answer = Response(200, json={"type": "plenty"}, request=request)

    with pytest.raises(AssertionError):
        line.check(answer, "/v2/bot/message/quota")


class Answers:
    """One good answer of every kind, with the path as LINE writes it."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.seen: list[tuple[str, Response]] = []

    async def get(self, path: str, query: str = "", **names: str) -> None:
        """Ask with GET and remember the answer."""
        answer = await ask(self.client, "GET", path.format(**names) + query)
        self.seen.append((path, answer))

    async def post(self, path: str, body: object = None, **names: str) -> Response:
        """Ask with POST and remember the answer, which is returned too."""
        answer = await ask(self.client, "POST", path.format(**names), body)
        self.seen.append((path, answer))
        return answer

    async def form(self, path: str, fields: dict[str, str]) -> Response:
        """Post a form and remember the answer, which is returned too."""
        answer = await self.client.post(path, data=fields)
        self.seen.append((path, answer))
        return answer


async def _answers(client: AsyncClient, platform: Platform) -> list[tuple[str, Response]]:
    answers = Answers(client)
    menu = await create(client)
    await _sending(answers, platform)
    await _chat(answers, platform)
    await _statistics(answers, menu, f"{platform.clock.now():%Y%m%d}")
    await _menus(answers, menu)
    await _coupons(answers, platform)
    await _tokens(answers)
    return answers.seen


async def _sending(answers: Answers, platform: Platform) -> None:
    message = "/v2/bot/message"
    for to in (HANA, HANA, "U1"):  # Accepted, accepted already, refused
        answers.seen.append((f"{message}/push", await push(answers.client, to, key=KEY)))
    unit = {"to": [HANA], "messages": [HELLO], "customAggregationUnits": ["a"]}
    await answers.post(f"{message}/multicast", unit)
    broadcast = await answers.post(f"{message}/broadcast", {"messages": [HELLO]})
    narrowcast = await answers.post(f"{message}/narrowcast", {"messages": [HELLO]})
    for kind in ("reply", "push", "multicast", "broadcast", "narrowcast"):
        await answers.post(f"{message}/validate/{kind}", {"messages": [HELLO]})
    request_id = narrowcast.headers["x-line-request-id"]
    await answers.get(f"{message}/progress/narrowcast", f"?requestId={request_id}")
    request_id = broadcast.headers["x-line-request-id"]
    await answers.get("/v2/bot/insight/message/event", f"?requestId={request_id}")


async def _chat(answers: Answers, platform: Platform) -> None:
    await answers.client.post(f"/simulator/people/{HANA}/say", json={"text": "a"})
    event: Any = platform.webhooks.queued()[-1]
    for _ in ("taken", "refused"):
        body = {"replyToken": event["replyToken"], "messages": [HELLO]}
        await answers.post("/v2/bot/message/reply", body)
    await answers.get("/v2/bot/profile/{userId}", userId=HANA)
    await answers.get("/v2/bot/info")
    await answers.post("/v2/bot/chat/loading/start", {"chatId": HANA})
    token = event["message"]["markAsReadToken"]
    await answers.post("/v2/bot/chat/markAsRead", {"markAsReadToken": token})
    await answers.post("/v2/bot/message/markAsRead", {"chat": {"userId": HANA}})
    await answers.post("/v2/bot/user/{userId}/linkToken", userId=HANA)
    await answers.get("/v2/bot/channel/webhook/endpoint")
    await answers.post("/v2/bot/channel/webhook/test", {})


async def _statistics(answers: Answers, menu: str, today: str) -> None:
    message, insight, past = "/v2/bot/message", "/v2/bot/insight", "20260101"
    for kind in ("reply", "push", "multicast", "broadcast"):
        for day in (past, today):
            await answers.get(f"{message}/delivery/{kind}", f"?date={day}")
    for what in ("quota", "quota/consumption", "aggregation/info", "aggregation/list"):
        await answers.get(f"{message}/{what}")
    await answers.get(f"{insight}/followers", f"?date={past}")
    await answers.get(f"{insight}/demographic")
    await answers.get(f"{insight}/message/delivery", f"?date={past}")
    query = f"?customAggregationUnit=a&from={today}&to={today}"
    await answers.get(f"{insight}/message/event/aggregation", query)
    for period in ("summary", "daily"):
        path = f"{insight}/richmenu/{{richMenuId}}/{period}"
        await answers.get(path, f"?from={past}&to={past}", richMenuId=menu)


async def _menus(answers: Answers, menu: str) -> None:
    base = "/v2/bot/richmenu"
    await answers.post(base, MENU)
    await answers.post(f"{base}/validate", MENU)
    await answers.get(f"{base}/list")
    await answers.get(f"{base}/{{richMenuId}}", richMenuId=menu)
    await answers.post("/v2/bot/user/all/richmenu/{richMenuId}", richMenuId=menu)
    await answers.get("/v2/bot/user/all/richmenu")
    path = "/v2/bot/user/{userId}/richmenu"
    await answers.post(f"{path}/{{richMenuId}}", userId=HANA, richMenuId=menu)
    await answers.get(path, userId=HANA)
    await answers.post(f"{base}/bulk/link", {"richMenuId": menu, "userIds": [HANA]})
    await answers.post(f"{base}/bulk/unlink", {"userIds": [HANA]})
    await answers.post(f"{base}/alias", {"richMenuAliasId": "a", "richMenuId": menu})
    await answers.get(f"{base}/alias/list")
    alias = f"{base}/alias/{{richMenuAliasId}}"
    await answers.get(alias, richMenuAliasId="a")
    await answers.post(alias, {"richMenuId": menu}, richMenuAliasId="a")
    operations = {"operations": [{"type": "unlinkAll"}]}
    batch = await answers.post(f"{base}/batch", operations)
    await answers.post(f"{base}/validate/batch", operations)
    request_id = batch.headers["x-line-request-id"]
    await answers.get(f"{base}/progress/batch", f"?requestId={request_id}")


async def _coupons(answers: Answers, platform: Platform) -> None:
    made = await answers.post("/v2/bot/coupon", coupon(platform))
    await answers.get("/v2/bot/coupon")
    await answers.get("/v2/bot/coupon/{couponId}", couponId=made.json()["couponId"])


async def _tokens(answers: Answers) -> None:
    secret = {"client_id": CHANNEL.id, "client_secret": CHANNEL.secret}
    for path in ("/v2/oauth/accessToken", "/oauth2/v3/token", "/oauth2/v2.1/token"):
        issued = await answers.form(path, {"grant_type": "client_credentials", **secret})
    token = issued.json()["access_token"]
    await answers.get("/oauth2/v2.1/verify", f"?access_token={token}")
    await answers.form("/v2/oauth/verify", {"access_token": token})


def test_only_the_token_endpoints_are_open() -> None:
    open_to_all = {endpoint.name for endpoint in ENDPOINTS if endpoint.access == "nobody"}

    assert open_to_all == {endpoint.name for endpoint in ENDPOINTS if "oauth" in endpoint.path}
