import pytest

from core.line import endpoints, limits
from core.line.endpoints import Endpoint
from core.line.limits import RateLimit, rate_limit


@pytest.mark.parametrize(
    ("operation", "calls", "seconds"),
    [
        ("replyMessage", 2000, 1),
        ("pushMessage", 2000, 1),
        ("multicast", 200, 1),
        ("broadcast", 60, 3600),
        ("showLoadingAnimation", 100, 1),
        ("testWebhookEndpoint", 60, 3600),
        ("setWebhookEndpoint", 1000, 60),
        ("createRichMenu", 100, 3600),
        ("getRichMenuList", 10, 1),
        ("richMenuBatch", 3, 3600),
    ],
)
def test_rate_limits_are_those_published(operation: str, calls: int, seconds: int) -> None:
    assert rate_limit(operation) == RateLimit(calls, seconds)


def test_a_token_of_sixty_an_hour_comes_back_in_a_minute() -> None:
    assert rate_limit("broadcast").per_second == pytest.approx(1 / 60)


def test_we_stop_repeating_before_a_retry_key_dies() -> None:
    assert limits.RETRY_KEY_STOP < limits.RETRY_KEY_LIFE


def test_an_id_is_percent_encoded_in_a_path() -> None:
    assert endpoints.PROFILE.fill("../x?a=ü") == "/v2/bot/profile/..%2Fx%3Fa%3D%C3%BC"
    assert (
        endpoints.LINK_RICH_MENU.fill("U1", "richmenu-1") == "/v2/bot/user/U1/richmenu/richmenu-1"
    )


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="id in a path"):
        endpoints.PROFILE.fill(part)


def test_every_operation_has_one_endpoint() -> None:
    known = [value for value in vars(endpoints).values() if isinstance(value, Endpoint)]
    known += [*endpoints.SENDING.values(), *endpoints.VALIDATING.values()]

    assert len({endpoint.operation for endpoint in known}) == len(known)
