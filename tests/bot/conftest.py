"""The webhook of a shop, as LINE sees it."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient

from core.runtime import Runtime
from tests.bot.helpers import Webhook, intake_of


@pytest.fixture
async def webhook(runtime: Runtime) -> AsyncIterator[Webhook]:
    """The intake over ASGI."""
    intake = intake_of(runtime)
    transport = ASGITransport(intake)
    async with AsyncClient(transport=transport, base_url="http://shop.test") as http:
        yield Webhook(runtime, http, intake)
