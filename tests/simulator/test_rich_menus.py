"""Rich menus: definitions, pictures, links, aliases, batches."""

from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from simulator.platform import Platform
from tests.simulator.helpers import AUTHORIZED, HANA, KEN, NOBODY, YUI, ask, png

MENU: dict[str, Any] = {
    "size": {"width": 800, "height": 270},
    "selected": True,
    "name": "main",
    "chatBarText": "メニュー",
    "areas": [
        {
            "bounds": {"x": 0, "y": 0, "width": 400, "height": 270},
            "action": {"type": "postback", "data": "card"},
        }
    ],
}
PICTURE = png(800, 270)


async def upload(
    client: AsyncClient, menu_id: str, picture: bytes = PICTURE, kind: str = "image/png"
) -> Response:
    headers = {**AUTHORIZED, "Content-Type": kind}
    path = f"/v2/bot/richmenu/{menu_id}/content"
    return await client.post(path, content=picture, headers=headers)


async def create(client: AsyncClient, *, picture: bool = True) -> str:
    answer = await ask(client, "POST", "/v2/bot/richmenu", MENU)
    menu_id = str(answer.json()["richMenuId"])
    if picture:
        assert (await upload(client, menu_id)).status_code == 200
    return menu_id


async def menu_of(client: AsyncClient, user_id: str) -> str | None:
    answer = await ask(client, "GET", f"/v2/bot/user/{user_id}/richmenu")
    return answer.json().get("richMenuId") if answer.status_code == 200 else None


async def test_a_menu_is_made_shown_listed_and_deleted(client: AsyncClient) -> None:
    menu_id = await create(client)

    assert menu_id.startswith("richmenu-")
    one = (await ask(client, "GET", f"/v2/bot/richmenu/{menu_id}")).json()
    assert one == {"richMenuId": menu_id, **MENU}
    assert (await ask(client, "GET", "/v2/bot/richmenu/list")).json() == {"richmenus": [one]}
    picture = await ask(client, "GET", f"/v2/bot/richmenu/{menu_id}/content")
    assert (picture.content, picture.headers["content-type"]) == (PICTURE, "image/png")
    assert (await ask(client, "DELETE", f"/v2/bot/richmenu/{menu_id}")).status_code == 200
    assert (await ask(client, "GET", f"/v2/bot/richmenu/{menu_id}")).status_code == 404


AREA = MENU["areas"][0]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"size": None}, "size"),
        ({"size": {"width": 2501, "height": 800}}, "size.width"),
        ({"size": {"width": 799, "height": 270}}, "size.width"),
        ({"size": {"width": 800, "height": 249}}, "size.height"),
        ({"size": {"width": 800, "height": 600}}, "size"),  # 800 / 600 = 1.33 < 1.45
        ({"selected": "yes"}, "selected"),
        ({"name": "a" * 301}, "name"),
        ({"chatBarText": "a" * 15}, "chatBarText"),
        ({"chatBarText": None}, "chatBarText"),
        ({"areas": [AREA] * 21}, "areas"),
        ({"areas": [{**AREA, "action": {"type": "camera", "label": "a"}}]}, "areas[0].action.type"),
        ({"areas": [{"action": AREA["action"]}]}, "areas[0].bounds"),
        (
            {"areas": [{**AREA, "bounds": {"x": 700, "y": 0, "width": 200, "height": 9}}]},
            "areas[0].bounds",
        ),
    ],
)
async def test_a_wrong_definition_is_refused(
    client: AsyncClient, change: dict[str, Any], where: str
) -> None:
    for path in ("/v2/bot/richmenu", "/v2/bot/richmenu/validate"):
        answer = await ask(client, "POST", path, {**MENU, **change})

        assert answer.status_code == 400
        assert where in [detail["property"] for detail in answer.json()["details"]]


@pytest.mark.parametrize(
    ("picture", "kind", "status"),
    [
        (PICTURE, "image/gif", 415),
        (PICTURE, "image/jpeg", 400),
        (b"not a picture", "image/png", 400),
        (png(800, 300), "image/png", 400),  # Not the menu's size
        (png(800, 270, padding=1024 * 1024), "image/png", 413),
    ],
)
async def test_a_wrong_picture_is_refused(
    client: AsyncClient, picture: bytes, kind: str, status: int
) -> None:
    menu_id = await create(client, picture=False)

    assert (await upload(client, menu_id, picture, kind)).status_code == status


async def test_a_jpeg_is_measured_too(client: AsyncClient) -> None:
    frame = b"\xff\xc0\x00\x11\x08" + (270).to_bytes(2) + (800).to_bytes(2) + b"\3" * 10
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab" + frame + b"\xff\xd9"
    menu_id = await create(client, picture=False)

    assert (await upload(client, menu_id, jpeg, "image/jpeg")).status_code == 200


async def test_a_picture_is_set_once(client: AsyncClient) -> None:
    menu_id = await create(client)

    again = await upload(client, menu_id)

    assert again.status_code == 400
    assert again.json()["message"] == "An image has already been uploaded to the richmenu"
    assert (await upload(client, "richmenu-" + "0" * 32)).status_code == 404


async def test_a_menu_without_a_picture_cannot_be_shown(client: AsyncClient) -> None:
    menu_id = await create(client, picture=False)

    for path in (f"/v2/bot/user/all/richmenu/{menu_id}", f"/v2/bot/user/{HANA}/richmenu/{menu_id}"):
        answer = await ask(client, "POST", path)
        assert answer.status_code == 400
        assert "must upload richmenu image" in answer.json()["message"]


async def test_the_default_is_set_and_cleared(client: AsyncClient) -> None:
    path = "/v2/bot/user/all/richmenu"
    assert (await ask(client, "GET", path)).json() == {"message": "no default richmenu"}
    menu_id = await create(client)

    assert (await ask(client, "POST", f"{path}/{menu_id}")).status_code == 200
    assert (await ask(client, "GET", path)).json() == {"richMenuId": menu_id}
    shown = (await client.get(f"/simulator/people/{HANA}/chat")).json()["rich_menu"]
    assert shown["rich_menu_id"] == menu_id
    assert (await client.get(shown["image_url"])).content == PICTURE
    assert (await ask(client, "DELETE", path)).status_code == 200
    assert (await ask(client, "GET", path)).status_code == 404


async def test_links_work_for_friends_only(client: AsyncClient) -> None:
    menu_id = await create(client)

    for user_id in (HANA, YUI, NOBODY):
        path = f"/v2/bot/user/{user_id}/richmenu/{menu_id}"
        assert (await ask(client, "POST", path)).status_code == 200
    assert (await ask(client, "POST", f"/v2/bot/user/U1/richmenu/{menu_id}")).status_code == 400

    assert [await menu_of(client, one) for one in (HANA, YUI, NOBODY)] == [menu_id, None, None]
    assert (await ask(client, "DELETE", f"/v2/bot/user/{HANA}/richmenu")).status_code == 200
    assert await menu_of(client, HANA) is None


async def test_many_are_linked_and_unlinked_at_once(client: AsyncClient) -> None:
    menu_id = await create(client)
    path = "/v2/bot/richmenu/bulk"

    linked = await ask(
        client, "POST", f"{path}/link", {"richMenuId": menu_id, "userIds": [HANA, KEN]}
    )
    assert linked.status_code == 202
    assert await menu_of(client, KEN) == menu_id
    unlinked = await ask(client, "POST", f"{path}/unlink", {"userIds": [KEN]})
    assert unlinked.status_code == 202
    assert await menu_of(client, KEN) is None
    for user_ids in ([], [HANA] * 501, ["U1"], [5]):
        body = {"richMenuId": menu_id, "userIds": user_ids}
        assert (await ask(client, "POST", f"{path}/link", body)).status_code == 400


async def test_aliases_follow_their_rules(client: AsyncClient) -> None:
    one, other = await create(client), await create(client)
    path = "/v2/bot/richmenu/alias"

    async def add(alias: str, menu_id: str) -> Response:
        body = {"richMenuAliasId": alias, "richMenuId": menu_id}
        return await ask(client, "POST", path, body)

    assert (await add("tab-a", one)).status_code == 200
    assert (await add("tab-a", one)).json()["message"] == "conflict richmenu alias id"
    assert (await add("Tab A", one)).status_code == 400
    assert (await add("tab-b", "richmenu-" + "0" * 32)).status_code == 400
    moved = await ask(client, "POST", f"{path}/tab-a", {"richMenuId": other})
    assert moved.status_code == 200
    expected = {"richMenuAliasId": "tab-a", "richMenuId": other}
    assert (await ask(client, "GET", f"{path}/tab-a")).json() == expected
    assert (await ask(client, "GET", f"{path}/list")).json() == {"aliases": [expected]}
    assert (await ask(client, "DELETE", f"{path}/tab-a")).status_code == 200
    assert (await ask(client, "GET", f"{path}/tab-a")).status_code == 404


async def test_a_batch_sees_the_links_as_they_were(client: AsyncClient) -> None:
    one, two, three = [await create(client) for _ in range(3)]
    await ask(client, "POST", f"/v2/bot/user/{HANA}/richmenu/{one}")
    await ask(client, "POST", f"/v2/bot/user/{KEN}/richmenu/{two}")
    operations = [
        {"type": "link", "from": one, "to": two},
        {"type": "link", "from": two, "to": three},
    ]

    answer = await ask(client, "POST", "/v2/bot/richmenu/batch", {"operations": operations})

    assert answer.status_code == 202
    assert (await menu_of(client, HANA), await menu_of(client, KEN)) == (two, three)
    request_id = answer.headers["x-line-request-id"]
    progress = f"/v2/bot/richmenu/progress/batch?requestId={request_id}"
    assert (await ask(client, "GET", progress)).json()["phase"] == "succeeded"


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [{"type": "unlinkAll"}, {"type": "unlink", "from": "a"}],
        [{"type": "unlink", "from": "a"}, {"type": "link", "from": "a", "to": "b"}],
        [{"type": "link", "from": "a"}],
    ],
)
async def test_wrong_batches_are_refused(client: AsyncClient, operations: object) -> None:
    for path in ("/v2/bot/richmenu/batch", "/v2/bot/richmenu/validate/batch"):
        answer = await ask(client, "POST", path, {"operations": operations})
        assert answer.status_code == 400


async def test_there_are_100_new_menus_an_hour_and_1000_in_all(
    client: AsyncClient, platform: Platform
) -> None:
    statuses = [
        (await ask(client, "POST", "/v2/bot/richmenu", MENU)).status_code for _ in range(101)
    ]
    assert statuses == [200] * 100 + [429]

    menus = platform.first_channel.rich_menus
    menus.menus |= dict.fromkeys(map(str, range(900)), next(iter(menus.menus.values())))
    platform.buckets.clear()
    assert (await ask(client, "POST", "/v2/bot/richmenu", MENU)).status_code == 400
