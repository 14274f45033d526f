"""The page in a real browser, against a fake server that the test controls."""

import re
import time
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.browser import Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import CLIP_S, OpenPage
from tests.integration.web.fake_kinolog import TOKEN, FakeKinolog, Json, iso, job, ready_job, step

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: For what takes a loaded machine long; a condition that comes true ends the wait.
PATIENCE_S = 60.0


def row(page: Page, name: str) -> Locator:
    """The row of the job with this file name."""
    return page.locator(".job").filter(has=page.get_by_role("heading", name=name, exact=True))


def bar(page: Page, name: str) -> Locator:
    """The progress bar of a job."""
    return page.get_by_role("progressbar", name=f"Progress of {name}")


def active(number: int, transcode: float = 0.0, progress: float = 0.0) -> dict[str, object]:
    """A job whose transcode runs."""
    steps = [step("probe", "completed", 100), step("transcode", "active", transcode), step("thumbnails")]
    return job(number, "active", steps, progress=progress)


async def test_the_empty_page_says_what_to_do(open_page: OpenPage) -> None:
    page = await open_page()
    await expect(page.get_by_text("No jobs yet")).to_be_visible()
    await expect(page.get_by_text("kinolog submit talk.mp4 --watch")).to_be_visible()


async def test_a_job_moves_and_finishes_before_the_eyes(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await kinolog.put(job(1))
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Waiting")
    await kinolog.put(active(1))
    await kinolog.progress("job_000001", "transcode", 42.5, job_progress=38.1, eta_s=30)
    await expect(bar(page, "clip-1.mp4")).to_have_js_property("value", 38.1)
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("38 %")
    await expect(row(page, "clip-1.mp4")).to_contain_text("transcode 42 % · 30 s left")
    await kinolog.put(ready_job(1))
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Ready")
    await expect(page.locator("#announcer")).to_have_text("clip-1.mp4: Ready")
    await expect(page.get_by_role("button", name="Play clip-1.mp4")).to_be_enabled()


_TOPS = "(rows) => rows.map((row) => [row.getBoundingClientRect().top, row.offsetHeight])"


async def test_words_are_shown_while_they_are_heard_and_no_row_moves(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    hearing = job(2, "active", [step("probe", "completed", 100), step("transcribe", "active", 10)], owner="anna")
    for one in (job(1), hearing, job(3)):
        await kinolog.put(one)
    await row(page, "clip-3.mp4").wait_for()
    for width_px in (1180, 390):
        await page.set_viewport_size({"width": width_px, "height": 860})
        before = await page.locator(".job").evaluate_all(_TOPS)
        shown = row(page, "clip-2.mp4").locator(".caption")
        for text in ("Ask not what your country can do for you " * 9, "\u0633\u0644\u0627\u0645 <b>x</b>\ny"):
            await kinolog.caption("job_000002", text)
            await expect(shown).to_have_text(text.strip() if len(text) < 300 else text[:300].strip())
            assert await page.locator(".job").evaluate_all(_TOPS) == before
    assert await shown.evaluate("(words) => getComputedStyle(words).direction") == "rtl"
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await kinolog.put(hearing | {"steps": [step("transcribe", "completed", 100)], "updated_at": iso(time.time() + 1)})
    await expect(shown).to_be_hidden()
    assert await page.locator(".job").evaluate_all(_TOPS) == before


async def test_what_was_there_before_is_shown_newest_first(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    for number in (1, 2, 3):
        kinolog.jobs[f"job_{number:06}"] = job(number)
    page = await open_page()
    await expect(page.locator(".job .name")).to_have_text(["clip-3.mp4", "clip-2.mp4", "clip-1.mp4"])


async def test_a_failed_job_says_why(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    error = {"code": "unsupported-media", "message": "This is a text file, not video or audio.", "retriable": False}
    await kinolog.put(job(1, "failed", [step("probe", "failed", error=error)], error=error))
    await expect(row(page, "clip-1.mp4").locator(".error")).to_have_text(f"{error['code']} {error['message']}")


async def test_a_ready_film_says_what_it_lacks_and_why(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    ready = ready_job(1)
    steps = [*ready["steps"], step("captions", "failed"), step("embed", "skipped")]
    warning = {"step": "captions", "code": "model-failed", "message": "The <b>model</b> failed."}
    await kinolog.put(ready | {"steps": steps, "warnings": [warning]})
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Ready")
    shown = row(page, "clip-1.mp4").locator(".warning")
    await expect(shown).to_have_text("Ready, without captions: The <b>model</b> failed.")
    await expect(page.get_by_role("button", name="Play clip-1.mp4")).to_be_enabled()
    await page.get_by_role("button", name="Retry clip-1.mp4").click()
    await eventually(lambda: kinolog.calls == ["retry job_000001"], PATIENCE_S)
    await kinolog.put(ready | {"warnings": []})
    await expect(shown).to_be_hidden()
    await expect(page.get_by_role("button", name="Retry clip-1.mp4")).to_be_hidden()


async def test_a_deleted_job_goes(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = job(1)
    page = await open_page()
    await row(page, "clip-1.mp4").wait_for()
    await kinolog.delete("job_000001")
    await expect(page.get_by_text("No jobs yet")).to_be_visible()


async def test_cancel_and_retry_ask_the_server(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await kinolog.put(active(1))
    await page.get_by_role("button", name="Cancel clip-1.mp4").click()
    await eventually(lambda: kinolog.calls == ["cancel job_000001"], PATIENCE_S)
    await kinolog.put(active(1) | {"cancelling": True})
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Cancelling")
    await kinolog.put(job(1, "cancelled"))
    await expect(page.get_by_role("button", name="Cancel clip-1.mp4")).to_be_hidden()
    await page.get_by_role("button", name="Retry clip-1.mp4").click()
    await eventually(lambda: kinolog.calls == ["cancel job_000001", "retry job_000001"], PATIENCE_S)


async def test_a_refused_command_is_explained(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 409")
    page = await open_page()
    await kinolog.put(active(1))
    kinolog.refusals.append((409, {"code": "illegal-transition", "detail": "The job has ended already."}))
    await page.get_by_role("button", name="Cancel clip-1.mp4").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("clip-1.mp4: The job has ended already.")
    await expect(page.get_by_role("button", name="Cancel clip-1.mp4")).to_be_enabled()


async def test_the_keyboard_stays_in_the_row_whose_button_went(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await kinolog.put(active(1))
    await page.get_by_role("button", name="Cancel clip-1.mp4").focus()
    await page.keyboard.press("Enter")
    await kinolog.put(job(1, "cancelled"))
    await expect(row(page, "clip-1.mp4")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("checkbox", name="Select clip-1.mp4")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="clip-1.mp4")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Retry clip-1.mp4")).to_be_focused()


async def test_a_chosen_file_is_uploaded_and_becomes_a_job(
    open_page: OpenPage, kinolog: FakeKinolog, tmp_path: Path
) -> None:
    page = await open_page()
    clip = tmp_path / "übung & co.mp4"
    clip.write_bytes(b"moving pictures" * 1000)
    await page.get_by_label("Choose media files to upload").set_input_files(clip)
    await row(page, "übung & co.mp4").wait_for()
    assert kinolog.uploads == {"übung & co.mp4": clip.read_bytes()}
    await expect(page.locator(".upload-row")).to_have_count(0)


_DROP = """(names) => {
  const dropped = new DataTransfer();
  for (const name of names) dropped.items.add(new File(["bytes of " + name], name));
  const way = { dataTransfer: dropped, bubbles: true, cancelable: true };
  for (const kind of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, way));
}"""


async def drop(page: Page, *names: str) -> None:
    """Drop files on the page."""
    await page.evaluate(_DROP, names)


async def test_dropped_files_are_uploaded(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    names = ["a.mp4", "b.mp4", "c.mp4"]
    await drop(page, *names)
    for name in names:
        await row(page, name).wait_for()
    assert kinolog.uploads == {name: f"bytes of {name}".encode() for name in names}


async def test_pipeline_and_priority_are_chosen_by_keyboard_sent_shown_and_remembered(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 422")
    page = await open_page()
    pipeline, priority = page.get_by_label("Pipeline", exact=True).first, page.get_by_label("Priority", exact=True)
    await expect(pipeline.locator("option")).to_have_text(["standard (default)", "video"])
    await pipeline.focus()
    await page.keyboard.press("v")
    await page.keyboard.press("Tab")
    await page.keyboard.press("h")
    await expect(priority).to_have_value("high")
    kinolog.refusals.append((422, {"code": "refused", "detail": "Not now."}))
    await drop(page, "a.mp4")
    upload = page.locator(".upload-row")
    await expect(upload).to_contain_text("video · high priority")
    await priority.select_option("low")  # of those that come next
    await page.get_by_role("button", name="Try again").click()
    await expect(row(page, "a.mp4").locator(".meta")).to_contain_text("video")
    assert kinolog.upload_fields == {"a.mp4": {"pipeline": "video", "priority": "high"}}
    await page.reload()
    await page.get_by_text("Live", exact=True).wait_for()
    await expect(pipeline).to_have_value("video")
    await expect(priority).to_have_value("low")
    kinolog.pipelines = ["standard"]
    await page.reload()
    await page.get_by_text("Live", exact=True).wait_for()
    await expect(pipeline.locator("option")).to_have_text(["standard (default)"])
    await drop(page, "b.mp4")
    await row(page, "b.mp4").wait_for()
    assert kinolog.upload_fields["b.mp4"] == {"priority": "low"}


# As a browser that blocks cookies has it.
_NO_STORAGE = """for (const kind of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, kind, { get() { throw new DOMException("denied", "SecurityError"); } });
}"""


async def test_the_page_works_in_a_browser_that_stores_nothing(
    open_page: OpenPage, browser_page: Page, kinolog: FakeKinolog
) -> None:
    await browser_page.add_init_script(_NO_STORAGE)
    page = await open_page()
    await page.get_by_label("Priority", exact=True).select_option("high")
    await drop(page, "a.mp4")
    await row(page, "a.mp4").wait_for()
    assert kinolog.upload_fields["a.mp4"]["priority"] == "high"


async def test_a_refused_upload_is_explained_and_tried_again_as_the_same(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 413")
    page = await open_page()
    kinolog.refusals.append((413, {"code": "too-large", "detail": "The file is too large."}))
    chosen: FilePayload = {"name": "huge.mov", "mimeType": "video/quicktime", "buffer": b"x" * 100}
    await page.get_by_label("Choose media files to upload").set_input_files(chosen)
    await expect(page.locator(".upload-row")).to_contain_text("The file is too large.")
    await page.get_by_role("button", name="Try again").click()
    await row(page, "huge.mov").wait_for()
    assert kinolog.upload_keys[0] == kinolog.upload_keys[1]


async def test_the_token_is_taken_from_the_link_and_leaves_the_address(
    open_page: OpenPage, kinolog: FakeKinolog, origin: str
) -> None:
    page = await open_page()
    assert page.url == f"{origin}/"
    assert kinolog.protocols == [f"kinolog, bearer.{TOKEN}"]
    await page.reload()
    await page.get_by_text("Live", exact=True).wait_for()
    await page.goto(f"{origin}/?token={TOKEN}")
    await page.get_by_text("Live", exact=True).wait_for()
    assert page.url == f"{origin}/"


async def test_without_a_token_the_page_asks_for_one(browser_page: Page, origin: str, complaints: Complaints) -> None:
    complaints.expect("status of 401")
    complaints.expect("WebSocket connection to .* failed")
    page = browser_page
    await page.goto(f"{origin}/")
    await page.get_by_label("Access token").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_text("This token is not valid.")
    await page.get_by_label("Access token").fill(TOKEN)
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_text("Live", exact=True).wait_for()


async def test_a_lost_connection_is_shown_and_nothing_is_missed(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await kinolog.put(job(1))
    await row(page, "clip-1.mp4").wait_for()
    await kinolog.drop_sockets()
    await kinolog.put(job(1, "failed"))
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Failed")
    await expect(page.locator("#connection")).to_have_text("Live")
    assert kinolog.resumed_from == [None, "1"]


async def test_a_frozen_server_is_not_live(open_page: OpenPage, kinolog: FakeKinolog, browser_page: Page) -> None:
    """The page's clock stands still between the seconds of this test, which takes none."""
    await browser_page.clock.install()
    page = await open_page()
    shown, clock = page.locator("#connection"), page.clock
    await clock.pause_at(await page.evaluate("Date.now() / 1000 + 1"))
    await clock.run_for(8_000)
    await eventually(lambda: kinolog.pings == 1, PATIENCE_S)
    await expect(shown).to_have_text("Live")
    kinolog.responds.clear()
    await clock.run_for(20_000)
    await expect(shown).to_have_text("Reconnecting…")
    assert kinolog.pings == 2
    kinolog.responds.set()
    await expect(shown).to_have_text("Live")
    kinolog.responds.clear()
    await clock.fast_forward(60_000)  # as in a hidden tab, whose timers run once a minute
    await expect(shown).to_have_text("Connecting…")
    kinolog.responds.set()


def three_thousand() -> dict[str, Json]:
    """Jobs of which the four oldest have failed."""
    return {f"job_{n:06}": job(n, "failed" if n < 4 else "completed") for n in range(3000)}


async def test_failures_among_thousands_of_jobs_are_counted_and_found_however_old_they_are(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs, kinolog.snapshot_jobs = three_thousand(), 1_000
    page = await open_page()
    await expect(page.get_by_role("radio", name="All 3000", exact=True)).to_be_checked()
    await page.get_by_role("radio", name="Failed 4", exact=True).check(force=True)
    names = [f"clip-{n}.mp4" for n in (3, 2, 1, 0)]
    await expect(page.locator(".job .name")).to_have_text(names)
    await expect(page.locator("#more")).to_be_hidden()
    await page.reload()
    await expect(page.get_by_role("radio", name="Failed 4", exact=True)).to_be_checked()
    await expect(page.locator(".job .name")).to_have_text(names)


async def test_every_one_of_many_jobs_can_be_paged_to(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs, kinolog.snapshot_jobs = {f"job_{n:06}": job(n) for n in range(120)}, 30
    page = await open_page()
    await page.get_by_role("button", name="Show 50 more of 70", exact=True).click()
    await page.get_by_role("button", name="Show 20 more of 20", exact=True).click()
    await expect(page.locator(".job .name")).to_have_text([f"clip-{n}.mp4" for n in reversed(range(120))])
    await expect(page.locator("#more")).to_be_hidden()


async def test_counts_and_filter_stay_true_while_jobs_change_that_are_not_on_the_page(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs, kinolog.snapshot_jobs = three_thousand(), 1_000
    page = await open_page()
    await page.get_by_role("radio", name="Failed 4", exact=True).check(force=True)
    await expect(page.locator(".job")).to_have_count(4)
    await kinolog.put(job(700, "failed"))
    await expect(page.get_by_role("radio", name="Failed 5", exact=True)).to_be_checked()
    await expect(page.locator(".job .name").first).to_have_text("clip-700.mp4")
    await kinolog.put(job(2, "waiting"))
    await expect(page.get_by_role("radio", name="Waiting 1", exact=True)).to_be_visible()
    await kinolog.delete("job_000001")
    await expect(page.locator(".job .name")).to_have_text(["clip-700.mp4", "clip-3.mp4", "clip-0.mp4"])
    await expect(page.get_by_role("radio", name="All 2999", exact=True)).to_be_visible()


async def test_the_filter_and_the_search_outlive_a_lost_connection_and_a_reload(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs, kinolog.snapshot_jobs = three_thousand(), 1_000
    page = await open_page()
    await page.get_by_role("radio", name="Ready 2996").check(force=True)
    await page.get_by_role("searchbox", name="Find jobs by name or id").fill(" CLIP-100")
    found = [f"clip-{n}.mp4" for n in (*reversed(range(1000, 1010)), 100)]
    await expect(page.locator(".job .name")).to_have_text(found)
    await kinolog.drop_sockets()
    await kinolog.put(job(1004, "failed"))
    found.remove("clip-1004.mp4")
    await expect(page.locator(".job .name")).to_have_text(found)
    assert page.url.endswith("#/jobs?status=completed&q=CLIP-100")
    kinolog.forget_frames()  # the cursor is of no use any more: the next connection begins with a snapshot
    del kinolog.jobs["job_001005"]
    found.remove("clip-1005.mp4")
    await kinolog.drop_sockets()
    await expect(page.locator(".job .name")).to_have_text(found)
    await page.reload()
    await expect(page.get_by_role("searchbox", name="Find jobs by name or id")).to_have_value("CLIP-100")
    await expect(page.locator(".job .name")).to_have_text(found)


async def test_what_happens_while_the_server_looks_for_jobs_is_not_missed(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "failed") for n in range(3)}
    page = await open_page()
    await expect(page.locator(".job")).to_have_count(3)
    kinolog.answers.clear()
    await page.get_by_role("radio", name="Failed 3").check(force=True)
    await eventually(lambda: any("status" in query for query in kinolog.lists), PATIENCE_S)
    await kinolog.put(job(0, "waiting"))
    await kinolog.put(job(7, "failed"))
    await kinolog.delete("job_000001")
    await expect(page.get_by_role("radio", name="All 3", exact=True)).to_be_visible()
    kinolog.answers.set()
    await expect(page.locator(".job .name")).to_have_text(["clip-7.mp4", "clip-2.mp4"])


async def test_a_list_that_cannot_be_had_says_so_and_comes_when_it_can(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 503")
    kinolog.jobs = {"job_000001": job(1)}
    kinolog.list_refusals = 2
    page = await open_page()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Jobs could not be loaded")
    await expect(page.get_by_text("No jobs yet")).to_be_hidden()
    await row(page, "clip-1.mp4").wait_for()
    await expect(page.get_by_role("alert").filter(visible=True)).to_have_count(0)


async def test_a_paused_queue_is_shown_on_the_jobs_that_wait_in_it(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    steps = [step("probe", "completed", 100), step("transcode", queue_position=3, eta_s=60.0), step("thumbnails")]
    await kinolog.put(job(1, "active", steps, progress=2.0, eta_s=70.0))
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("2 %")
    await kinolog.pause("transcode")
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("Paused · transcode queue")
    held = row(page, "clip-1.mp4").get_by_title("The transcode queue is paused. This job is no. 3 in queue.")
    await expect(held).to_contain_text("paused")
    await kinolog.pause("transcode", paused=False)
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("2 %")
    steps[2] = step("thumbnails", queue_position=1, paused=True)
    await kinolog.put(job(1, "active", [steps[0], step("transcode", "active", 40), steps[2]], progress=30.0))
    await expect(row(page, "clip-1.mp4").locator(".status")).to_have_text("30 %")
    await expect(row(page, "clip-1.mp4")).to_contain_text("transcode 40 %")


async def test_a_thousand_jobs_stay_readable(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n, "failed" if n % 10 == 0 else "waiting") for n in range(1500)}
    page = await open_page()
    await expect(page.locator(".job")).to_have_count(50)
    await page.get_by_role("button", name="Show 50 more of 1450").click()
    await expect(page.locator(".job")).to_have_count(100)
    await page.get_by_role("radio", name="Failed 150").check(force=True)
    await expect(page.locator(".job .name").first).to_have_text("clip-1490.mp4")
    await page.get_by_role("searchbox", name="Find jobs by name or id").fill("clip-1490")
    await expect(page.locator(".job .name")).to_have_text(["clip-1490.mp4"])
    await page.get_by_role("searchbox", name="Find jobs by name or id").fill("no such name")
    await expect(page.get_by_text("No matching jobs.")).to_be_visible()


async def test_names_and_errors_are_text_whatever_they_hold(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    nasty = '<img src=x onerror="alert(1)">.mp4'
    await kinolog.put(job(1, "failed", filename=nasty, error={"code": "x", "message": "<b>bold</b>"}))
    await row(page, nasty).wait_for()
    await expect(row(page, nasty).locator(".error")).to_have_text("x <b>bold</b>")


async def test_a_retry_to_come_and_a_skipped_step_are_said(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    steps = [
        step("probe", "completed", 100),
        step("transcode", "delayed", retry_at=iso(time.time() + 3000)),
        step("thumbnails", "skipped", 100, reason="no-video-track"),
    ]
    await kinolog.put(job(1, "active", steps))
    await expect(row(page, "clip-1.mp4")).to_contain_text("retry in 50 min")
    await page.get_by_role("link", name="clip-1.mp4").click()
    await expect(page.locator(".lane").nth(2)).to_contain_text("no video track")


async def test_a_ready_stream_plays_to_its_end(open_page: OpenPage, kinolog: FakeKinolog) -> None:
    page = await open_page()
    await kinolog.put(ready_job(1))
    await page.get_by_role("button", name="Play clip-1.mp4").click()
    video = page.locator("#video")
    await expect(video).to_have_js_property("ended", True)
    assert await video.evaluate("(video) => video.currentTime") >= CLIP_S - 0.2
    assert await video.evaluate("(video) => video.currentSrc.slice(0, 5)") == "blob:", "hls.js was not what played"
    assert "/poster.jpg" in await video.evaluate("(video) => video.poster")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(video).not_to_have_attribute("src", re.compile("."))  # the event that stops it comes after the hiding


async def test_without_hls_js_the_browsers_own_player_plays(
    open_page: OpenPage, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("hls.min.js")
    page = await open_page()
    await page.route("**/vendor/hls.min.js", lambda route: route.abort())
    await kinolog.put(ready_job(1))
    await page.get_by_role("button", name="Play clip-1.mp4").click()
    await expect(page.locator("#video")).to_have_js_property("ended", True)


# A storyboard is given up after a second, not ten, and the first picture that the page makes is never loaded.
_IMPATIENT = """AbortSignal.timeout = ((timeout) => (ms) => timeout(ms === 10_000 ? 1000 : ms))(
  AbortSignal.timeout.bind(AbortSignal));
void (Image = ((Stock) => function () { Image = Stock; return document.createElement("div"); })(Image));"""


async def test_a_ready_job_shows_its_poster_and_skims_under_the_pointer(
    open_page: OpenPage, kinolog: FakeKinolog
) -> None:
    """Its storyboard comes empty, then its pictures do not, then the browser loads none: each is asked for again."""
    page = await open_page()
    await page.evaluate(_IMPATIENT)
    kinolog.media_faults |= {"storyboard.vtt": "empty", "sprite-001.jpg": "silent"}
    await kinolog.put(ready_job(1))
    poster = page.get_by_role("button", name="Play clip-1.mp4")
    await expect(poster.locator("img")).to_have_js_property("naturalWidth", 320)

    async def skims() -> bool:
        await poster.hover(position={"x": 50, "y": 5})
        await poster.hover(position={"x": 60, "y": 5})
        return await poster.locator(".skim").is_visible()

    await eventually(skims, PATIENCE_S)
    assert not kinolog.media_faults
    assert await page.evaluate("new Image() instanceof HTMLImageElement"), "no picture was stuck"
    assert await poster.locator(".skim img").evaluate("(sheet) => [sheet.style.left, sheet.style.top]") == [
        "-80px",
        "0px",
    ]
