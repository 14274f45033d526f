"""What users of other dashboards and players have reported, made anew on this page."""

import re
import time
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import OpenPage
from tests.integration.web.fake_kinolog import FakeKinolog, Json, iso, job, ready_job, step
from tests.integration.web.page.test_asset import hit, show
from tests.integration.web.page.test_job import event, open_job

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0
_ERROR: Json = {"code": "tool-misbehaved", "message": "The encoder ended with signal 9.", "retriable": True}

# Marks the text of an element, as a person does who wants to copy it.
_MARK = "(node) => getSelection().selectAllChildren(node)"
_MARKED = "getSelection().toString()"

# Whether a picture can be dragged: in browsers, not in their drivers, it is a file then.
_DRAGGED = """(picture) =>
  picture.dispatchEvent(new DragEvent("dragstart", { bubbles: true, cancelable: true }))"""

# Lets the page believe that its tab is in the background, or in front.
_HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def retrying() -> tuple[Json, list[Json]]:
    """A job at its second try, and its events."""
    steps = [step("probe", "completed", 100), step("transcode", "active", 5, attempt=2)]
    events = [
        event(100, "job.submitted"),
        event(97, "step.started", step="transcode", attempt=1),
        event(80, "step.retried", step="transcode", attempt=1, elapsed_s=17, error=_ERROR, retry_at=iso(time.time())),
        event(75, "step.started", step="transcode", attempt=2),
    ]
    return job(1, "active", steps, created_at=iso(time.time() - 100)), events


async def test_marked_text_of_an_error_stays_marked_while_the_job_goes_on(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """Parallels/rq-dashboard#127, calypr/funnel#280: each refresh unselected what somebody was about to copy."""
    kinolog.jobs["job_000001"], kinolog.events["job_000001"] = retrying()
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    error = page.locator(".lane-error")
    await error.evaluate(_MARK)
    bar = page.locator(".lane .bar.active")
    width = await bar.evaluate("(bar) => bar.style.cssText")
    await expect(bar).not_to_have_js_property("style.cssText", width)
    assert await page.evaluate(_MARKED) == "Try 1: tool-misbehaved: The encoder ended with signal 9."
    await page.locator(".event").last.evaluate(_MARK)
    marked = await page.evaluate(_MARKED)
    kinolog.events["job_000001"].append(event(1, "step.completed", step="transcode", attempt=2, elapsed_s=74))
    await kinolog.put(kinolog.jobs["job_000001"] | {"updated_at": iso(time.time())})
    await expect(page.locator(".event")).to_have_count(5)
    await expect(page.locator(".event").first).to_contain_text("transcode completed")
    assert await page.evaluate(_MARKED) == marked


async def test_opened_details_stay_open_when_more_files_come(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """felixmosh/bull-board#207: the details of a job could not be read, because every refresh closed them."""
    ready = ready_job(1)
    probe, transcode, thumbnails = ready["steps"]
    root = "assets/asset_000001/transcode/1-a"
    many = transcode | {"outputs": {str(n): f"{root}/track-{n}.m3u8" for n in range(12)}}
    kinolog.jobs["job_000001"] = ready | {"status": "active", "steps": [probe, many, step("thumbnails", "active")]}
    page = await open_page()
    await open_job(page, "clip-1.mp4")
    await page.get_by_text("4 more").click()
    copy = page.get_by_role("button", name="Copy link of track-11.m3u8")
    await copy.focus()
    await kinolog.put(ready | {"steps": [probe, many, thumbnails]})
    await expect(page.get_by_role("button", name="poster.jpg", exact=True)).to_be_visible()
    await expect(copy).to_be_visible()
    await expect(copy).to_be_focused()


async def test_a_hidden_tab_requests_nothing_and_is_up_to_date_when_it_is_seen(
    open_page: OpenPage, kinolog: FakeKinolog, browser_page: Page
) -> None:
    """apache/airflow#21302, temporalio/ui#2278: forgotten tabs were the load of the server."""
    await browser_page.clock.install()
    page = await open_page()
    await show(page, "#/overview")
    await expect(page.get_by_role("link", name="0 Failed")).to_be_visible()
    await page.clock.pause_at(await page.evaluate("Date.now() / 1000 + 5"))
    await page.evaluate(_HIDE, True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await kinolog.put(job(1, "failed"))
    await page.locator("#announcer", has_text="Failed").wait_for(state="attached")
    await page.clock.run_for(6_000)
    assert [url for url in asked if "/v1/" in url] == []
    await page.evaluate(_HIDE, False)
    await page.clock.run_for(500)
    await expect(page.get_by_role("link", name="1 Failed")).to_be_visible()


async def test_a_picture_of_the_page_cannot_be_dragged_and_so_not_be_dropped_on_it(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """immich-app/immich#26751: a thumbnail, dragged a little, was uploaded as a file."""
    page = await open_page()
    await kinolog.put(ready_job(1))
    await expect(page.locator(".poster img")).to_have_js_property("naturalWidth", 320)
    for picture in (page.locator(".wordmark img"), page.locator(".poster img")):
        assert not await picture.evaluate(_DRAGGED)


async def test_the_media_of_a_dropped_folder_is_taken_and_the_rest_is_counted(
    open_page: OpenPage, kinolog: FakeKinolog, tmp_path: Path
) -> None:
    """mattermost/mattermost#10064: a dropped folder was "a problem with your internet connection"."""
    page = await open_page()
    (tmp_path / "holiday" / "day 2").mkdir(parents=True)
    for name in ("one.mp4", "notes.txt", ".hidden", "day 2/two.mp4"):
        (tmp_path / "holiday" / name).write_bytes(b"film")
    (tmp_path / "talk.mp4").write_bytes(b"talk")
    dropped = {"items": [], "files": [str(tmp_path / name) for name in ("holiday", "talk.mp4")]}
    devtools = await page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {**dropped, "dragOperationsMask": 1}
        await devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
    await expect(page.locator("#upload-note")).to_contain_text("2 files were left out")
    await expect(page.locator(".job")).to_have_count(3)
    assert kinolog.uploads == {"one.mp4": b"film", "two.mp4": b"film", "talk.mp4": b"talk"}


async def test_one_refused_file_of_many_holds_up_no_other(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    """galaxyproject/galaxy#13589, statamic/cms#10944: after one error the rest of the queue stood still."""
    complaints.expect("status of 413")
    page = await open_page()
    kinolog.refusals.append((413, {"code": "too-large", "detail": "The file is too large."}))
    chosen = [{"name": f"{n}.mp4", "mimeType": "video/mp4", "buffer": b"x"} for n in range(50)]
    await page.get_by_label("Choose media files to upload").set_input_files(chosen)  # type: ignore[arg-type]
    await eventually(lambda: len(kinolog.uploads) == 49, PATIENCE_S)
    await expect(page.locator(".upload-row")).to_have_count(1)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".upload-row")).to_have_count(0)
    assert len(kinolog.uploads) == 50


async def test_the_same_search_again_searches_again(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """CentreForDigitalHumanities/Textcavator#135: a search could be repeated after a reload only."""
    page = await open_page()
    await show(page, "#/search?q=country")
    await expect(page.locator(".search-note")).to_contain_text("Nothing matched")
    kinolog.found = {"data": [hit(1, "speech.mp4", ["words"])], "mode": "hybrid"}
    await page.locator("#view-search").get_by_role("button", name="Search").click()
    await expect(page.locator(".found li")).to_have_count(1)


async def test_the_space_bar_pauses_the_film_and_does_not_close_it(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """jellyfin/jellyfin-web#2376: the key that pauses everywhere else did something else, or nothing."""
    page = await open_page()
    await kinolog.put(ready_job(1))
    await page.get_by_role("button", name="Play clip-1.mp4").click()
    video = page.locator("#video")
    await video.evaluate("(video) => { video.loop = true; }")
    await expect(video).to_have_js_property("paused", False)
    await expect(video).to_be_focused()
    await eventually(
        lambda: video.evaluate("(video) => video.currentTime > 0"), PATIENCE_S
    )  # before, browsers ignore keys
    await page.keyboard.press("Space")
    await expect(video).to_have_js_property("paused", True)
    await expect(page.get_by_role("dialog")).to_be_visible()


async def test_all_times_of_a_job_are_those_of_the_same_clock(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    """temporalio/ui#1964: the axis had local times, and the rest those of UTC."""
    kinolog.jobs["job_000001"] = job(1, "active", created_at="2026-03-01T22:00:00.000Z")
    kinolog.events["job_000001"] = [event(0, "job.submitted") | {"time": "2026-03-01T22:00:00.000Z"}]
    page = await open_page()
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    await open_job(page, "clip-1.mp4")
    await expect(page.locator(".event time")).to_have_text(re.compile("3:30:00"))
    await expect(page.locator("#job-details")).to_contain_text(re.compile("Mar 2, 2026, 3:30:00"))
