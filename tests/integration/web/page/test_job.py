"""One job in full: its own URL, its attempts on an axis of time, its files, and what can be done with it."""

import re
import time

import pytest
from playwright.async_api import Page, expect

from tests.browser import Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, Json, iso, job, ready_job, step

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PATIENCE_S = 60.0
_ERROR: Json = {"code": "tool-misbehaved", "message": "The encoder ended with <b>signal 9</b>.", "retriable": True}


def event(seconds_ago: float, kind: str, **more: object) -> Json:
    time_text = iso(time.time() - seconds_ago)
    return {"id": f"{kind}{seconds_ago}", "time": time_text, "type": f"media.{kind}.v1", "run": 1} | more


async def open_job(page: Page, name: str) -> None:
    await page.locator(".job").get_by_role("link", name=name).click()
    await page.locator(".lane").first.wait_for()


async def test_a_click_on_a_name_opens_the_job_and_the_way_back_leads_to_the_list(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    assert page.url.endswith("/#job_000001")
    await expect(page).to_have_title("clip-1.mp4 · kinolog")
    await expect(page.get_by_role("heading", name="clip-1.mp4")).to_have_count(1)
    await page.go_back()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    await page.go_forward()
    await expect(page.locator("#job-status")).to_have_text("Ready")
    await page.get_by_role("link", name="All jobs").click()
    await expect(page.locator(".job")).to_have_count(1)


async def test_a_link_to_a_job_opens_it_and_it_moves(open_page: OpenPage, kinolog: FakeKinolog, origin: str) -> None:
    steps = [step("probe", "completed", 100), step("transcode", "active", 10), step("thumbnails")]
    kinolog.jobs["job_000001"] = job(1, "active", steps, progress=20.0)
    page = await open_page()
    await page.goto(f"{origin}/#job_000001")
    await page.reload()
    await page.get_by_text("Live", exact=True).wait_for()
    await expect(page.locator("#job-status")).to_have_text("20 %")
    await kinolog.progress("job_000001", "transcode", 62.0, job_progress=54.0, eta_s=30)
    await expect(page.locator("#job-status")).to_have_text("54 %")
    await expect(page.locator(".lane").nth(1)).to_contain_text("62 % · 30 s left")
    await kinolog.put(ready_job(1))
    await expect(page.locator("#job-status")).to_have_text("Ready")


async def test_every_attempt_is_shown_with_its_error(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    steps = [step("probe", "completed", 100), step("transcode", "active", 5, attempt=3)]
    kinolog.jobs["job_000001"] = job(1, "active", steps, created_at=iso(time.time() - 100))
    kinolog.events["job_000001"] = [
        event(100, "job.submitted"),
        event(99, "step.started", step="probe", attempt=1),
        event(98, "step.completed", step="probe", attempt=1, elapsed_s=1),
        event(97, "step.started", step="transcode", attempt=1),
        event(80, "step.retried", step="transcode", attempt=1, elapsed_s=17, error=_ERROR, retry_at=iso(time.time())),
        event(75, "step.started", step="transcode", attempt=2),
        event(60, "step.retried", step="transcode", attempt=2, elapsed_s=15, error=_ERROR, retry_at=iso(time.time())),
        event(50, "step.started", step="transcode", attempt=3),
    ]
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    lane = page.locator(".lane").nth(1)
    await expect(lane.locator(".bar.retried")).to_have_count(2)
    await expect(lane.locator(".bar.active")).to_have_count(1)
    await expect(lane.locator(".lane-error")).to_have_text(
        [f"Try {number}: tool-misbehaved: The encoder ended with <b>signal 9</b>." for number in (1, 2)]
    )
    first, second = [await lane.locator(".bar.retried").nth(number).bounding_box() for number in (0, 1)]
    assert first and second and first["x"] + first["width"] <= second["x"] + 1, "bars overlap"
    await expect(page.locator(".event").first).to_contain_text("transcode started (try 3)")
    await expect(page.locator(".event")).to_have_count(8)


async def test_files_open_in_a_tab_by_their_signed_address(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = ready_job(1)
    (kinolog.media / "storyboard.vtt").write_text("WEBVTT\n")
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    async with page.context.expect_page() as opened:
        await page.get_by_role("button", name="storyboard.vtt", exact=True).click()
    tab = await opened.value
    await tab.wait_for_url(re.compile("/media/s/.*/thumbnails/1-a/storyboard.vtt$"), wait_until="commit")


async def test_a_deletion_asks_first_and_says_what_goes(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = job(1, "failed", error=_ERROR)
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete clip-1.mp4?")
    await expect(dialog).to_contain_text("cannot be undone")
    await page.keyboard.press("Escape")
    assert kinolog.calls == []
    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete").click()
    await eventually(lambda: kinolog.calls == ["delete job_000001"], _PATIENCE_S)
    await kinolog.delete("job_000001")
    await expect(page.locator("#job-missing")).to_have_text("The job was deleted.")


async def test_a_refused_command_is_explained_in_the_view(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 409")
    kinolog.jobs["job_000001"] = job(1, "active")
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    kinolog.refusals.append((409, {"code": "illegal-transition", "detail": "The job has ended already."}))
    await page.locator("#job-view").get_by_role("button", name="Cancel").click()
    await expect(page.locator("#job-notice")).to_have_text("clip-1.mp4: The job has ended already.")


async def test_a_job_that_is_not_there_is_explained(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints, origin: str
) -> None:
    complaints.expect("status of 404")
    page = await open_page()
    await page.goto(f"{origin}/#job_000009")
    await expect(page.locator("#job-missing")).to_have_text("There is no job with this id, or it is not yours.")
    await page.get_by_role("link", name="All jobs").click()
    await expect(page.get_by_text("No jobs yet")).to_be_visible()
