"""The readable docs: made from the description, without script, good to look at on any screen."""

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest
from playwright.async_api import Browser, async_playwright

from admin.api.openapi import TAGS, operations
from admin.api.problems import KINDS
from tests.admin.conftest import Callers
from tests.browser_setup import chromium_path


async def test_the_page_shows_every_operation_in_japanese_first(callers: Callers) -> None:
    document = (await callers.stranger.get("/openapi.json")).json()
    page = await callers.stranger.get("/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="ja">' in page.text
    for method, path, operation in operations(document):
        article = (
            unescape(page.text).split(f'id="{operation["operationId"]}"')[1].split("</article>")[0]
        )
        assert f">{method.upper()}<" in article
        assert f"/api/v1{path}<" in article
        assert article.index(operation["x-title-ja"]) < article.index(operation["summary"])
        assert operation["x-least-role"] in article
        assert "curl" in article
    for name, (japanese, english) in TAGS.items():
        assert japanese in page.text
        assert name in page.text
        assert english.replace("'", "&#39;") in page.text
    for kind in KINDS:
        assert f'id="{kind.name}"' in page.text


async def test_the_page_needs_no_script_and_nothing_from_elsewhere(callers: Callers) -> None:
    page = await callers.stranger.get("/docs")
    style = await callers.stranger.get("/docs.css")

    assert "<script" not in page.text
    assert "style=" not in page.text
    fetched = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert set(fetched) == {"docs.css", "openapi.json"}
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text
    assert "@import" not in style.text


async def test_every_link_inside_the_page_leads_somewhere(callers: Callers) -> None:
    page = (await callers.stranger.get("/docs")).text
    for anchor in set(re.findall(r'href="#([^"]+)"', page)):
        assert f'id="{anchor}"' in page, anchor
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=str(chromium_path()),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield made
        await made.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_no_screen_has_to_scroll_sideways(
    callers: Callers, browser: Browser, width: int
) -> None:
    page_text = (await callers.stranger.get("/docs")).text
    style = (await callers.stranger.get("/docs.css")).text
    page = await browser.new_page(viewport={"width": width, "height": 800})
    await page.set_content(
        page_text.replace('<link rel="stylesheet" href="docs.css">', f"<style>{style}</style>")
    )
    overflow = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow == 0
