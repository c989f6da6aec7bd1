"""Take the README's picture of the phone: `python -m tests.browser.picture`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.browser.demo_process import Demo, past_is_told
from tests.browser.windows import ARGUMENTS, hears, open_phone, window
from tests.browser_setup import chromium_path

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "phone.png"
SETTLE_MS = 1_000


async def take(demo: Demo, path: Path) -> None:
    """Hana follows, hears from the shop three days later, and asks what it recommends."""
    await past_is_told(demo)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(chromium_path()), args=ARGUMENTS
        )
        async with window(browser, demo, width=1280, height=800) as page:
            await open_phone(page, demo)
            await _tour(page)
            await page.wait_for_timeout(SETTLE_MS)
            path.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=path)
        await browser.close()


async def _tour(page: Page) -> None:
    await page.locator("#friend-add").click()
    await hears(page, "花さん、はじめまして。")
    await page.locator("#travel-third-evening").click()
    await hears(page, "花さん、こんばんは。")
    await page.get_by_role("button", name="おすすめを見る").click()
    await hears(page, "港ブレンド")
    await page.locator(".guide-close").click()
    await page.mouse.move(0, 0)


def main() -> None:
    """Start a demo, take the picture, and say how large it is."""
    with tempfile.TemporaryDirectory() as folder, Demo(Path(folder) / "data") as demo:
        asyncio.run(take(demo, PICTURE))
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
