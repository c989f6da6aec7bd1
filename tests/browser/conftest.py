"""One demo for the journeys in the browser, and windows that notice what must not happen."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.demo_process import Demo
from tests.browser.windows import ARGUMENTS, window
from tests.browser_setup import chromium_path
from tests.shop import Person


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes and a browser: all of this folder is slow."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that runs as long as the tests; each test brings a person of its own."""
    with Demo(tmp_path_factory.mktemp("demo") / "data") as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """For acting as a person without a browser."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=str(chromium_path()), args=ARGUMENTS
        )
        yield running
        await running.close()


@pytest.fixture
async def desk(browser: Browser, demo: Demo) -> AsyncIterator[Page]:
    """A window on a desk. Errors on the console and requests to strangers fail the test."""
    async with window(browser, demo, width=1280, height=800) as page:
        yield page


@pytest.fixture
async def hand(browser: Browser, demo: Demo) -> AsyncIterator[Page]:
    """A phone in the hand; the same holds."""
    async with window(browser, demo, width=390, height=844, is_mobile=True) as page:
        yield page


@pytest.fixture
async def sakura(demo: Demo, http: aiohttp.ClientSession) -> Person:
    """Somebody who does not know the shop yet."""
    people = f"{demo.phone_url}/simulator/people"
    async with http.post(people, json={"name": "さくら"}) as response:
        return Person(http, demo.phone_url, (await response.json())["user_id"])
