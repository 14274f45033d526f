"""The page over the whole system: a file is chosen in the browser, and what comes out of it plays there."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import browser, browser_page, complaints
from tests.e2e.system import System

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: A transcode on a machine that does other things too.
ENDED_MS = 180_000


@pytest.fixture
def link(system: System) -> str:
    """The link that carries the token."""
    return f"{system.url}/#token={system.token}"


async def test_a_chosen_file_becomes_a_stream_that_plays(browser_page: Page, link: str, clip: Path) -> None:
    page = browser_page
    await page.goto(link)
    await page.get_by_text("Live", exact=True).wait_for()
    await page.get_by_label("Choose media files to upload").set_input_files(clip)
    row = page.locator(".job").filter(has_text=clip.name).first
    await expect(row.locator(".status")).to_have_text("Ready", timeout=ENDED_MS)
    await expect(row.locator(".poster img")).not_to_have_js_property("naturalWidth", 0)
    await row.get_by_role("button", name=f"Play {clip.name}").click()
    await expect(page.locator("#video")).to_have_js_property("ended", True, timeout=ENDED_MS)


async def test_a_text_file_fails_with_a_sentence(browser_page: Page, link: str, tmp_path: Path) -> None:
    page = browser_page
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear reader, this is no film.\n" * 50)
    await page.goto(link)
    await page.get_by_label("Choose media files to upload").set_input_files(letter)
    row = page.locator(".job").filter(has_text=letter.name)
    await expect(row.locator(".status")).to_have_text("Failed", timeout=ENDED_MS)
    await expect(row.locator(".error code")).not_to_be_empty()
    await expect(row.locator(".error span")).not_to_be_empty()


async def test_a_running_job_is_cancelled_and_taken_up_again(browser_page: Page, link: str, long_clip: Path) -> None:
    page = browser_page
    await page.goto(link)
    await page.get_by_label("Choose media files to upload").set_input_files(long_clip)
    row = page.locator(".job").filter(has_text=long_clip.name).first
    transcode = row.get_by_role("progressbar", name=f"transcode of {long_clip.name}")
    await expect(transcode).not_to_have_js_property("value", 0, timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)
    await row.get_by_role("button", name="Retry").click()
    await expect(row.locator(".meta")).to_contain_text("run 2", timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)
