"""What outlives the process."""

from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient

from simulator.app import close, create_app
from simulator.settings import Settings
from simulator.state import Journal, StateInUse
from tests.simulator.conftest import populate
from tests.simulator.helpers import CHANNEL, HANA, KEN, KEY, YUI, ask, png, push
from tests.simulator.test_rich_menus import MENU, upload


def settings(path: Path) -> Settings:
    return Settings(
        channels=(CHANNEL,), shop_url="http://127.0.0.1:9", state=path, simulated_clock=True
    )


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    app = create_app(settings(path))
    platform = app.state.platform
    populate(platform)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        first = await push(client, HANA, key=KEY)
        menu_id = (await ask(client, "POST", "/v2/bot/richmenu", MENU)).json()["richMenuId"]
        await upload(client, menu_id)
        await ask(client, "POST", f"/v2/bot/user/{KEN}/richmenu/{menu_id}")
        said = await client.post(f"/simulator/people/{HANA}/say", json={"text": "やあ"})
        before = (await client.get(f"/simulator/people/{HANA}/chat")).json()
        token = str(platform.webhooks.queued()[-1]["replyToken"])
        now = platform.clock.ms()
    await close(app)

    app = create_app(settings(path))
    platform = app.state.platform
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        after = (await client.get(f"/simulator/people/{HANA}/chat")).json()
        again = await push(client, HANA, key=KEY)
        picture = await ask(client, "GET", f"/v2/bot/richmenu/{menu_id}/content")
        linked = await ask(client, "GET", f"/v2/bot/user/{KEN}/richmenu")
        usage = await ask(client, "GET", "/v2/bot/message/quota/consumption")
        queued = platform.webhooks.queued()
    await close(app)

    assert after["messages"] == before["messages"]
    assert again.status_code == 409
    assert again.json()["sentMessages"] == first.json()["sentMessages"]
    assert picture.content == png(800, 270)
    assert linked.json() == {"richMenuId": menu_id}
    assert usage.json() == {"totalUsage": 1}
    assert queued[-1]["replyToken"] == token
    assert platform.channels[CHANNEL.id].friends[YUI].status == "blocked"
    assert platform.clock.ms() >= now - 100
    assert int(platform.message_ids.next()) > int(said.json()["id"])


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    journal = Journal(path)
    journal.load()
    journal.put("a", "1", {"n": 1})
    journal.put_all([("a", "2", {"n": 2}), ("b", "1", {"n": 3})])
    journal.put("a", "1", {"n": 4})
    journal.delete("b", "1")
    journal.close()
    with path.open("ab") as file:
        file.write(b'["a","3",{"n"')

    journal = Journal(path)
    documents: dict[str, Any] = journal.load()
    journal.put("a", "5", {"n": 5})
    journal.close()

    assert documents == {"a": {"1": {"n": 4}, "2": {"n": 2}}, "b": {}}
    journal = Journal(path)
    assert journal.load()["a"]["5"] == {"n": 5}
    journal.close()


def test_two_simulators_do_not_share_a_state_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state.jsonl")
    with pytest.raises(StateInUse):
        Journal(tmp_path / "state.jsonl")
    journal.close()


async def test_reset_forgets_all(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    app = create_app(settings(path))
    populate(app.state.platform)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        await push(client, HANA)
        await client.post("/simulator/reset")
        people = (await client.get("/simulator/people")).json()
        accepted = (await client.get("/simulator/accepted")).json()
    await close(app)

    assert people == {"items": [], "total": 0}
    assert accepted == {"items": [], "next": 0}
    assert path.read_bytes() == b""
