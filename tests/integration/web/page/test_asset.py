"""The page of a recording, and the search that leads to it, in a real browser."""

from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser import AXE, VIOLATIONS, Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, Json, job, ready_job
from tests.integration.web.page.recordings import publish

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0


def hit(number: int, filename: str, matched_by: list[str], start_ms: int = 2_000) -> Json:
    """A passage in the API's format."""
    text = "ask what you can do for your country"
    return {
        "asset_id": f"asset_{number:06}",
        "job_id": f"job_{number:06}",
        "filename": filename,
        "start_ms": start_ms,
        "end_ms": start_ms + 1_000,
        "text": text,
        "highlight": text.replace("country", "<mark>country</mark>"),
        "score": 0.5,
        "matched_by": matched_by,
    }


async def show(page: Page, route: str) -> None:
    await page.evaluate("(route) => { location.hash = route; }", route)


async def test_a_recording_is_played_read_and_sought_in(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    publish(kinolog)
    page = await open_page()
    await show(page, "#/asset/asset_000001")
    await expect(page.get_by_role("heading", name="speech.mp4")).to_be_visible()
    words = page.get_by_role("region", name="Transcript")
    await expect(words.get_by_role("button")).to_have_count(3)
    await expect(
        page.get_by_text("Transcribed by tiny.en (faster-whisper 1.2.1), language en, 97 % sure")
    ).to_be_visible()
    await page.evaluate("document.querySelector('kinolog-player').video.muted = true")
    await words.get_by_role("button", name="ask what you can do").click()
    player = page.locator("kinolog-player")
    await eventually(lambda: player.evaluate("(player) => player.currentTime >= 2"), PATIENCE_S)
    await expect(words.locator("[aria-current=true]")).to_contain_text("ask what you can do")
    await page.evaluate("document.querySelector('kinolog-player').currentTime = 1")
    await expect(words.locator("[aria-current=true]")).to_contain_text("ask not what your country")


async def test_a_recording_has_its_renditions_files_sizes_and_jobs(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    publish(kinolog)
    page = await open_page()
    await show(page, "#/asset/asset_000001")
    rows = page.locator(".asset-renditions tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("720, 25 fps")
    files = page.locator(".asset-files .files li")
    await expect(files).to_have_count(6)
    await expect(files.filter(has_text="storyboard.vtt").locator(".file-size")).to_have_text("133 B")
    await page.get_by_role("link", name="job_000001").click()
    await expect(page.locator("#job-title")).to_have_text("speech.mp4")


async def test_links_and_embed_code_are_copied(open_page: OpenPage, kinolog: FakeKinolog, origin: str) -> None:
    publish(kinolog)
    page = await open_page()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await show(page, "#/asset/asset_000001")
    await page.get_by_role("button", name="Copy playback URL").click()
    await expect(page.get_by_role("button", name="Copy playback URL")).to_have_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"{origin}/media/s/"), copied
    assert copied.endswith("master.m3u8")
    await page.get_by_role("button", name="Copy embed code").click()
    await eventually(lambda: _clipboard_has(page, f'src="{origin}/static/elements.js"'), PATIENCE_S)
    assert "secret-token" not in await page.evaluate("navigator.clipboard.readText()")


async def _clipboard_has(page: Page, text: str) -> bool:
    return text in await page.evaluate("navigator.clipboard.readText()")


async def test_others_about_the_same_are_shown_and_lead_to_their_moment(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    publish(kinolog)
    publish(kinolog, 2, "second.mp4")
    kinolog.found = {"data": [hit(1, "speech.mp4", ["meaning"]), hit(2, "second.mp4", ["meaning"])], "mode": "vector"}
    page = await open_page()
    await show(page, "#/asset/asset_000001")
    others = page.locator(".similar a")
    await expect(others).to_have_count(1)  # not the recording itself
    assert kinolog.search_queries[-1]["mode"] == "vector"
    assert "fellow Americans" in kinolog.search_queries[-1]["q"]
    await others.click()
    await expect(page.get_by_role("heading", name="second.mp4")).to_be_visible()
    player = page.locator("kinolog-player")
    await eventually(lambda: player.evaluate("(player) => player.currentTime === 2"), PATIENCE_S)


async def test_a_recording_that_is_being_made_appears_when_it_is_ready(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    ready = publish(kinolog)
    done = kinolog.jobs["job_000001"]
    kinolog.jobs["job_000001"] = job(1, "active", filename="speech.mp4")
    kinolog.assets["asset_000001"] = {**ready, "status": "PROCESSING", "outputs": {}, "master_url": None}
    page = await open_page()
    await show(page, "#/asset/asset_000001")
    await expect(page.locator("kinolog-player")).to_contain_text("is being prepared")
    kinolog.assets["asset_000001"] = ready
    await kinolog.put(done)
    await expect(page.get_by_role("region", name="Transcript")).to_be_visible()
    await eventually(
        lambda: page.locator("kinolog-player").evaluate("(player) => player.video.readyState > 0"), PATIENCE_S
    )


async def test_a_recording_that_is_not_there_says_so(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await open_page()
    await show(page, "#/asset/asset_000009")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text(
        "There is no such recording, or it is not yours."
    )


async def test_a_search_says_how_each_passage_was_found_and_jumps_to_it(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    publish(kinolog)
    kinolog.found = {
        "data": [hit(1, "speech.mp4", ["words", "meaning"]), hit(2, "b.mp4", ["meaning"]), hit(3, "c.mp4", ["words"])],
        "mode": "hybrid",
    }
    page = await open_page()
    await page.get_by_role("link", name="Search").click()
    await page.locator("#view-search").get_by_role("searchbox").fill("country")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status").filter(has_text="3 passages in 3 recordings")).to_be_visible()
    assert page.url.endswith("#/search?q=country")
    found = page.locator(".found li")
    assert [await row.locator(".match").all_inner_texts() for row in await found.all()] == [
        ["words", "meaning"],
        ["meaning"],
        ["words"],
    ]
    await expect(found.first.locator("mark")).to_have_text("country")
    await page.get_by_role("radio", name="Meaning").check()
    await eventually(lambda: kinolog.search_queries[-1]["mode"] == "vector", PATIENCE_S)
    assert page.url.endswith("#/search?q=country&mode=vector")
    await found.first.get_by_role("link").click()
    player = page.locator("kinolog-player")
    await eventually(lambda: player.evaluate("(player) => player.currentTime === 2"), PATIENCE_S)
    await page.go_back()
    await expect(page.locator("#view-search").get_by_role("searchbox")).to_have_value("country")


async def test_a_search_without_a_match_says_that_nothing_matched(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.found = {"data": [], "mode": "hybrid", "left_out": ["the model small is not available here"]}
    page = await open_page()
    await show(page, "#/search?q=zebra")
    await expect(page.locator(".search-note")).to_have_text(
        "Nothing matched “zebra”: no passage has these words or is about this. "
        "Searched by words only: the model small is not available here."
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_a_recording_and_the_search(
    open_page: OpenPage, kinolog: FakeKinolog, scheme: Literal["light", "dark"]
) -> None:
    publish(kinolog)
    kinolog.found = {"data": [hit(2, "b.mp4", ["words", "meaning"])], "mode": "hybrid"}
    page = await open_page()
    await page.emulate_media(color_scheme=scheme)
    for width_px in (1180, 390):
        await page.set_viewport_size({"width": width_px, "height": 860})
        for route, ready in (("#/asset/asset_000001", ".similar a"), ("#/search?q=country", ".found a")):
            await show(page, route)
            await page.locator(ready).first.wait_for()
            await page.evaluate(AXE.read_text())
            assert await page.evaluate(VIOLATIONS) == [], (route, width_px)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (route, width_px)
