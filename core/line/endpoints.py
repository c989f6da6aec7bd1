"""The calls to LINE that Okaeri makes, named as in LINE's OpenAPI description."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from core.line.limits import RateLimit, rate_limit


class SendKind(StrEnum):
    """The ways a message leaves."""

    reply = "reply"
    push = "push"
    multicast = "multicast"
    broadcast = "broadcast"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its name, method and path with `{}` for each id.

    `data` marks the operations that live on the data host (api-data.line.me).
    """

    operation: str
    method: str
    path: str
    data: bool = False

    @property
    def rate_limit(self) -> RateLimit:
        return rate_limit(self.operation)

    def fill(self, *parts: str) -> str:
        """The path with its ids, percent-encoded. Raises ValueError for an id no path can hold."""
        for part in parts:
            if part in {"", ".", ".."}:
                raise ValueError("an id in a path is empty or only dots")
        return self.path.format(*(quote(part, safe="") for part in parts))


SENDING = {
    SendKind.reply: Endpoint("replyMessage", "POST", "/v2/bot/message/reply"),
    SendKind.push: Endpoint("pushMessage", "POST", "/v2/bot/message/push"),
    SendKind.multicast: Endpoint("multicast", "POST", "/v2/bot/message/multicast"),
    SendKind.broadcast: Endpoint("broadcast", "POST", "/v2/bot/message/broadcast"),
}

VALIDATING = {
    SendKind.reply: Endpoint("validateReply", "POST", "/v2/bot/message/validate/reply"),
    SendKind.push: Endpoint("validatePush", "POST", "/v2/bot/message/validate/push"),
    SendKind.multicast: Endpoint("validateMulticast", "POST", "/v2/bot/message/validate/multicast"),
    SendKind.broadcast: Endpoint("validateBroadcast", "POST", "/v2/bot/message/validate/broadcast"),
}

BOT_INFO = Endpoint("getBotInfo", "GET", "/v2/bot/info")
PROFILE = Endpoint("getProfile", "GET", "/v2/bot/profile/{}")
FOLLOWERS = Endpoint("getFollowers", "GET", "/v2/bot/followers/ids")
QUOTA = Endpoint("getMessageQuota", "GET", "/v2/bot/message/quota")
QUOTA_CONSUMPTION = Endpoint(
    "getMessageQuotaConsumption", "GET", "/v2/bot/message/quota/consumption"
)
WEBHOOK = Endpoint("getWebhookEndpoint", "GET", "/v2/bot/channel/webhook/endpoint")
SET_WEBHOOK = Endpoint("setWebhookEndpoint", "PUT", "/v2/bot/channel/webhook/endpoint")
TEST_WEBHOOK = Endpoint("testWebhookEndpoint", "POST", "/v2/bot/channel/webhook/test")
LINK_TOKEN = Endpoint("issueLinkToken", "POST", "/v2/bot/user/{}/linkToken")
LOADING = Endpoint("showLoadingAnimation", "POST", "/v2/bot/chat/loading/start")
CONTENT = Endpoint("getMessageContent", "GET", "/v2/bot/message/{}/content", data=True)

CREATE_COUPON = Endpoint("createCoupon", "POST", "/v2/bot/coupon")
LIST_COUPONS = Endpoint("listCoupon", "GET", "/v2/bot/coupon")
GET_COUPON = Endpoint("getCouponDetail", "GET", "/v2/bot/coupon/{}")
CLOSE_COUPON = Endpoint("closeCoupon", "PUT", "/v2/bot/coupon/{}/close")

CREATE_RICH_MENU = Endpoint("createRichMenu", "POST", "/v2/bot/richmenu")
VALIDATE_RICH_MENU = Endpoint("validateRichMenuObject", "POST", "/v2/bot/richmenu/validate")
SET_RICH_MENU_IMAGE = Endpoint("setRichMenuImage", "POST", "/v2/bot/richmenu/{}/content", data=True)
GET_RICH_MENU_IMAGE = Endpoint("getRichMenuImage", "GET", "/v2/bot/richmenu/{}/content", data=True)
GET_RICH_MENU = Endpoint("getRichMenu", "GET", "/v2/bot/richmenu/{}")
DELETE_RICH_MENU = Endpoint("deleteRichMenu", "DELETE", "/v2/bot/richmenu/{}")
LIST_RICH_MENUS = Endpoint("getRichMenuList", "GET", "/v2/bot/richmenu/list")
SET_DEFAULT_RICH_MENU = Endpoint("setDefaultRichMenu", "POST", "/v2/bot/user/all/richmenu/{}")
GET_DEFAULT_RICH_MENU = Endpoint("getDefaultRichMenuId", "GET", "/v2/bot/user/all/richmenu")
CANCEL_DEFAULT_RICH_MENU = Endpoint("cancelDefaultRichMenu", "DELETE", "/v2/bot/user/all/richmenu")
CREATE_RICH_MENU_ALIAS = Endpoint("createRichMenuAlias", "POST", "/v2/bot/richmenu/alias")
UPDATE_RICH_MENU_ALIAS = Endpoint("updateRichMenuAlias", "POST", "/v2/bot/richmenu/alias/{}")
DELETE_RICH_MENU_ALIAS = Endpoint("deleteRichMenuAlias", "DELETE", "/v2/bot/richmenu/alias/{}")
LIST_RICH_MENU_ALIASES = Endpoint("getRichMenuAliasList", "GET", "/v2/bot/richmenu/alias/list")
RICH_MENU_OF_USER = Endpoint("getRichMenuIdOfUser", "GET", "/v2/bot/user/{}/richmenu")
LINK_RICH_MENU = Endpoint("linkRichMenuIdToUser", "POST", "/v2/bot/user/{}/richmenu/{}")
UNLINK_RICH_MENU = Endpoint("unlinkRichMenuIdFromUser", "DELETE", "/v2/bot/user/{}/richmenu")
LINK_RICH_MENU_BULK = Endpoint("linkRichMenuIdToUsers", "POST", "/v2/bot/richmenu/bulk/link")
UNLINK_RICH_MENU_BULK = Endpoint(
    "unlinkRichMenuIdFromUsers", "POST", "/v2/bot/richmenu/bulk/unlink"
)
