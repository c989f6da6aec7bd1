"""LINE's published limits as data, each with its source on developers.line.biz.

What is our own margin and not LINE's word is said so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# Requests: /en/reference/messaging-api/#send-push-message, #send-multicast-message
MESSAGES_PER_REQUEST = 5
MULTICAST_RECIPIENTS = 500
REQUEST_BYTES = 2_000_000  # "2 MB", in its smaller reading; more is answered 413.

# Messages: /en/reference/messaging-api/#text-message, #quick-reply
TEXT_UNITS = 5000
QUICK_REPLY_ITEMS = 13

# Reply tokens: /en/reference/messaging-api/#send-reply-message-reply-token
REPLY_TOKEN_LIFE = timedelta(minutes=1)  # from when the webhook (or its redelivery) came
REPLY_TOKEN_END = timedelta(minutes=20)  # after the event itself no redelivery helps any more

# Retry keys: /en/docs/messaging-api/retrying-api-request/
RETRY_KEY_LIFE = timedelta(hours=24)  # from the first request; later the key is a new request
RETRY_KEY_STOP = timedelta(hours=23)  # ours: no attempt later than this, for clocks differ

# Webhooks: /en/docs/partner-docs/development-guidelines/, #set-webhook-endpoint-url
WEBHOOK_ANSWER_SECONDS = 2
WEBHOOK_URL_CHARACTERS = 500

# Loading animation: /en/reference/messaging-api/#display-a-loading-indicator
LOADING_SECONDS = range(5, 61, 5)

# Followers: /en/reference/messaging-api/#get-follower-ids
FOLLOWERS_PER_PAGE = 1000

# Content: /en/reference/messaging-api/#get-content; larger files are 200 MB video and audio.
RECEIVED_FILE_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `calls` in `seconds`, per channel and endpoint: a token bucket without reset."""

    calls: int
    seconds: int

    @property
    def per_second(self) -> float:
        """How fast tokens come back."""
        return self.calls / self.seconds


SECOND, MINUTE, HOUR = 1, 60, 3600

# Source: /en/reference/messaging-api/#rate-limits; endpoints not named there have 2,000 a second.
DEFAULT_RATE_LIMIT = RateLimit(2000, SECOND)

_BY_LIMIT: Mapping[RateLimit, str] = {
    RateLimit(60, HOUR): (
        "narrowcast broadcast testWebhookEndpoint getNumberOfMessageDeliveries"
        " getNumberOfFollowers getFriendsDemographics getMessageEvent getStatisticsPerUnit"
        " getRichMenuInsightSummary getRichMenuInsightDaily"
    ),
    RateLimit(60, MINUTE): (
        "createAudienceGroup addAudienceToAudienceGroup createAudienceForUploadingUserIds"
        " addUserIdsToAudience createClickBasedAudienceGroup createImpBasedAudienceGroup"
        " updateAudienceGroupDescription deleteAudienceGroup getAudienceData getAudienceGroups"
        " getSharedAudienceData getSharedAudienceGroups"
    ),
    RateLimit(1000, MINUTE): "setWebhookEndpoint getWebhookEndpoint",
    RateLimit(100, HOUR): (
        "createRichMenu deleteRichMenu deleteRichMenuAlias getRichMenuBatchProgress"
    ),
    RateLimit(3, HOUR): "richMenuBatch",
    RateLimit(10, SECOND): "getRichMenuList",
    RateLimit(100, SECOND): "showLoadingAnimation",
    RateLimit(200, SECOND): (
        "multicast getMembershipSubscription getMembershipList getJoinedMembershipUsers"
        " listCoupon createCoupon getCouponDetail closeCoupon"
    ),
    RateLimit(370, SECOND): "issueChannelToken",
}

RATE_LIMITS: Mapping[str, RateLimit] = {
    operation: limit for limit, operations in _BY_LIMIT.items() for operation in operations.split()
}


def rate_limit(operation: str) -> RateLimit:
    """The limit of an operation, by its name in LINE's OpenAPI description (`pushMessage`)."""
    return RATE_LIMITS.get(operation, DEFAULT_RATE_LIMIT)
