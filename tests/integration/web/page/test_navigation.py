"""The views of the page: their URLs, the way between them, and the keyboard."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, Json, job

pytestmark = pytest.mark.asyncio(loop_scope="module")


def executor(name: str, status: str = "active", **more: object) -> Json:
    """An executor in the API's format."""
    return {
        "id": name,
        "lane": "cpu",
        "version": "1.0",
        "outdated": False,
        "status": status,
        "reported_at": "2026-11-26T19:00:00.000Z",
        "slots": {"probe": 4, "transcode": 2},
        "active": {"transcode": 1},
        "attempts": [{"job_id": "job_000001", "step": "transcode", "attempt": 2}],
        "cpus": 2,
    } | more


def link(page: Page, name: str) -> Locator:
    """A link of the navigation."""
    return page.get_by_role("navigation", name="Main").get_by_role("link", name=name)


async def test_a_view_has_its_own_address_and_the_list_keeps_its_place(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs = {f"job_{number:06}": job(number) for number in range(40)}
    kinolog.executors = [executor("exec-1")]
    page = await open_page()
    await page.locator(".job").nth(30).scroll_into_view_if_needed()
    top_px = await page.evaluate("scrollY")
    assert top_px > 0
    await page.evaluate("location.hash = '#/executors'")
    await expect(page.get_by_role("heading", name="Executors")).to_be_visible()
    await expect(page.locator("#view-executors")).to_be_focused()
    await expect(page).to_have_title("Executors · kinolog")
    await expect(link(page, "Executors")).to_have_attribute("aria-current", "page")
    await expect(link(page, "Jobs")).not_to_have_attribute("aria-current", "page")
    assert page.url.endswith("/#/executors")
    await page.go_back()
    await expect(page.locator(".job").first).to_be_visible()
    assert await page.evaluate("scrollY") == top_px
    await link(page, "Executors").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("row", name="exec-1")).to_contain_text("transcode (try 2)")
    await page.reload()
    await expect(page.get_by_role("row", name="exec-1")).to_be_visible()


async def test_executors_are_live(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """mher/flower#760, #900: workers stayed offline after a restart, and those that were gone came back."""
    page = await open_page()
    await link(page, "Executors").click()
    await expect(page.get_by_text("kinolog executor")).to_be_visible()
    await kinolog.report(executor("exec-1"))
    await expect(page.get_by_role("row", name="exec-1")).to_contain_text("Active")
    for status in ("silent", "active"):
        await kinolog.report(executor("exec-1", status))
        await expect(page.get_by_role("row", name="exec-1")).to_contain_text(status.capitalize())
    await kinolog.report(executor("exec-1", "gone"))
    await expect(page.get_by_role("row", name="exec-1")).to_have_count(0)
    await kinolog.drop_sockets()
    await expect(page.locator("#connection")).to_have_text("Live")
    await expect(page.get_by_role("row", name="exec-1")).to_have_count(0)


async def test_an_address_that_names_no_view_is_explained(open_page: OpenPage, origin: str) -> None:
    page = await open_page()
    await page.goto(f"{origin}/#/nothing")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("There is no such page.")
    await link(page, "Jobs").click()
    await expect(page.get_by_text("No jobs yet")).to_be_visible()
