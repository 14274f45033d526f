"""The page's search in a real browser."""

import pytest
from playwright.async_api import expect

from tests.conftest import eventually
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, ready_job, step

pytestmark = pytest.mark.asyncio(loop_scope="module")

HIT = {
    "asset_id": "asset_000001",
    "job_id": "job_000001",
    "filename": "speech.mp4",
    "start_ms": 1_500,
    "end_ms": 3_000,
    "text": "<b>ask</b> not what your country & mine",
    "highlight": "&lt;b&gt;ask&lt;/b&gt; not what your <mark>country</mark> &amp; mine",
    "score": 0.1,
}


async def test_what_was_said_is_found_and_plays_from_there(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    ready = ready_job(1, filename="speech.mp4")
    probe, _, thumbnails = ready["steps"]
    page = await open_page()
    await kinolog.put({**ready, "status": "active", "steps": [probe, step("transcode", "active"), thumbnails]})
    await expect(page.locator(".job img")).to_be_visible()  # its address was asked for while there was no stream
    await kinolog.put(ready)
    kinolog.found = {"data": [HIT], "mode": "hybrid"}
    await page.get_by_role("searchbox", name="Search transcripts").fill("country")
    await page.keyboard.press("Enter")
    passage = page.get_by_role("button", name="Play speech.mp4 from 0:01")
    await expect(passage).to_contain_text("<b>ask</b> not what your country & mine")
    await expect(passage.locator("mark")).to_have_text("country")
    assert kinolog.searches == ["country"]
    await passage.click()
    video = page.locator("#video")
    await eventually(lambda: video.evaluate("video => video.currentTime >= 1.4"), 60)


async def test_a_search_without_hits_or_without_its_model_says_so(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    kinolog.found = {"data": [], "mode": "text", "left_out": ["the model small is not available here"]}
    await page.get_by_role("searchbox", name="Search transcripts").fill("country")
    await page.get_by_role("button", name="Search", exact=True).click()
    note = page.locator("#speech-note")
    await expect(note).to_have_text("No matches. Searched by words only: the model small is not available here.")
