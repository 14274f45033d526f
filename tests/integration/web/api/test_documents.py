"""The page at /docs in a real browser, under its strict content security policy: no errors, nothing missing."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.conftest import MakeSettings
from tests.integration.web.served import ENVIRON, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def address(make_settings: MakeSettings) -> AsyncIterator[str]:
    """A replica without a log: the page needs none."""
    async with serve(make_settings(**ENVIRON, KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1"), ready=False) as site:
        yield str(site.server.make_url("/docs"))


async def test_the_page_shows_routes_types_and_codes_to_anybody(browser_page: Page, address: str) -> None:
    await browser_page.goto(f"{address}#idempotency-key-reused")
    await expect(browser_page.locator("#docs")).to_have_attribute("aria-busy", "false")
    await expect(browser_page.locator("#idempotency-key-reused")).to_be_in_viewport()
    jobs = browser_page.locator("#list_jobs")
    await jobs.locator("summary").click()
    await expect(jobs.get_by_text("Only jobs of this pipeline.")).to_be_visible()
    await jobs.get_by_role("link", name="Page_JobView").click()
    await expect(browser_page.locator("#type-Page_JobView table")).to_be_visible()
