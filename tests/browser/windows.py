"""Browser windows for the journeys, and what to look for in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.browser.demo_process import Demo

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
PATIENCE_MS = 30_000
TAP_PIXELS = 44
_SMALL = """least => [...document.querySelectorAll('button, input, select, textarea, a[href]')]
  .filter(node => node.checkVisibility({visibilityProperty: true}))
  .map(node => [node, node.getBoundingClientRect()])
  .filter(([, box]) => box.width && box.height && (box.width < least || box.height < least))
  .map(([node, box]) => `${node.tagName} ${node.id || node.className} ${node.textContent.trim()}: `
    + `${Math.round(box.width)}x${Math.round(box.height)}`)"""
_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@asynccontextmanager
async def window(
    browser: Browser, demo: Demo, *, width: int, height: int, is_mobile: bool = False
) -> AsyncIterator[Page]:
    """A fresh window; afterwards nothing may have gone wrong or gone elsewhere."""
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        is_mobile=is_mobile,
        has_touch=is_mobile,
        locale="ja-JP",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    faults = _watch(page, (f"{demo.url}/", f"{demo.phone_url}/", "data:", "blob:"))
    yield page
    await context.close()
    assert faults == []


def _watch(page: Page, ours: tuple[str, ...]) -> list[str]:
    faults: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith(ours):
            faults.append(request.url)

    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", asked)
    return faults


async def open_phone(page: Page, demo: Demo, user_id: str = "") -> None:
    """Open the phone page, as this person."""
    await page.goto(f"{demo.phone_url}/phone" + (f"?user={user_id}" if user_id else ""))
    await expect(page.locator("#playing")).not_to_be_empty(timeout=PATIENCE_MS)


def from_shop(page: Page) -> Locator:
    """What the shop has sent, bubble by bubble."""
    return page.locator("#messages .row-bot")


async def hears(page: Page, text: str) -> Locator:
    """Wait until the shop has said this; gives its newest bubble with the words."""
    bubble = from_shop(page).filter(has_text=text).last
    await expect(bubble).to_be_visible(timeout=PATIENCE_MS)
    return bubble


async def assert_usable_by_thumb(page: Page) -> None:
    """No sideways scrolling, and whatever can be tapped is big enough for a thumb."""
    assert await page.evaluate(_OVERFLOW) <= 0
    assert await page.evaluate(_SMALL, TAP_PIXELS) == []
