"""The page at access.line.me that ties a LINE account to a shop's account.

Source: https://developers.line.biz/en/docs/messaging-api/linking-accounts/
"""

import html

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from simulator import events
from simulator.platform import Platform

SHORTEST_NONCE, LONGEST_NONCE = 10, 255
_PAGE = """<!doctype html>
<html lang="ja"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0; font-family: 'Hiragino Sans', 'Noto Sans CJK JP', 'Yu Gothic', sans-serif;
  color: #1f2a30; background: #f3f5f4; display: grid; place-items: center; min-height: 100vh; }}
main {{ background: #fff; border-radius: 16px; padding: 40px 32px; max-width: 340px;
  margin: 16px; text-align: center; box-shadow: 0 2px 18px rgb(0 0 0 / 8%); }}
.mark {{ font-size: 48px; line-height: 1; color: {color}; }}
h1 {{ font-size: 20px; margin: 16px 0 8px; }}
p {{ margin: 0 0 24px; line-height: 1.7; color: #55636b; font-size: 14px; }}
a {{ display: block; background: #06a94d; color: #fff; text-decoration: none; padding: 14px;
  border-radius: 10px; font-weight: 600; }}
</style></head><body><main><div class="mark" aria-hidden="true">{mark}</div>
<h1>{title}</h1><p>{text}</p><a href="{back}">トークに戻る</a></main></body></html>
"""


def _page(status: int, title: str, text: str, user_id: str | None = None) -> Response:
    good = status < 400  # noqa: PLR2004  HTTP
    page = _PAGE.format(
        title=html.escape(title),
        text=html.escape(text),
        mark="✓" if good else "！",
        color="#06a94d" if good else "#c0392b",
        back=f"/phone?user={user_id}" if user_id else "/phone",
    )
    return HTMLResponse(page, status)


def _broken() -> Response:
    return _page(
        400,
        "連携できませんでした",
        "リンクの有効期限が切れたか、すでに使われています。トークからもう一度お試しください。"
        " (This link has expired or was used before.)",
    )


async def account_link(request: Request) -> Response:
    """Spend the link token and tell the shop; a token that is not valid tells nobody anything.

    The link token knows the person. `simulator_user` plays a browser in which somebody else is
    logged in to LINE: the shop then hears `failed`.
    """
    platform: Platform = request.app.state.platform
    nonce = request.query_params.get("nonce", "")
    token = request.query_params.get("linkToken", "")
    if request.method != "GET" or not SHORTEST_NONCE <= len(nonce) <= LONGEST_NONCE:
        return _broken()
    link = platform.tokens.use_link(token)
    if link is None:
        return _broken()
    channel = platform.channels[link.channel_id]
    if request.query_params.get("simulator_user", link.user_id) != link.user_id:
        events.link_failed(platform, channel, nonce)
        return _page(400, "連携できませんでした", "別のLINEアカウントでログインしています。")
    friend = channel.friend(link.user_id)
    fields: dict[str, object] = {"link": {"result": "ok", "nonce": nonce}}
    changes = events.build(platform, friend, "accountLink", platform.clock.stamp(), fields)
    platform.store.put_all(changes)
    events.send(platform, changes)
    return _page(200, "連携が完了しました", f"{channel.name}と連携しました。", link.user_id)


ROUTES = [Route("/dialog/bot/accountLink", account_link)]
