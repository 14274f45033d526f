"""The page over the whole system: a file is chosen in the browser, and what comes out of it plays there.

And a page of another site with tus-js-client, which Uppy uploads with.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Locator, Page, expect

from streams.settings import load, to_environ
from tests.browser import AXE, VIOLATIONS, Complaints, browser, browser_page, complaints, opened_page
from tests.conftest import eventually
from tests.e2e.conftest import FAILING, FAILING_CODE, OTHER_SITE_PORT
from tests.e2e.system import Api, System

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: A transcode on a machine that does other things too.
ENDED_S = 180.0
ENDED_MS = 1000 * ENDED_S

_TUS = Path(__file__).parents[2] / ".venv" / "tus.min.js"
_OTHER_PAGE = "<!doctype html><meta charset=utf-8><script src=tus.min.js></script>"

# Sends a piece, lets go, finds the upload again as after a reload, and sends the rest.
_UPLOAD = """async ({ endpoint, token, size }) => {
  const file = new File([new Uint8Array(size).fill(7)], "Über.mp4", { type: "video/mp4" });
  const seen = { ids: [], offsets: [] };
  const options = {
    endpoint, chunkSize: 100_000, retryDelays: [0, 100, 1000],
    headers: { Authorization: `Bearer ${token}` },
    metadata: { filename: file.name, filetype: file.type, pipeline: "noop" },
    onAfterResponse: (request, response) => seen.ids.push(response.getHeader("Kinolog-Job-Id")),
  };
  await new Promise((resolve, reject) => {
    const first = new tus.Upload(file, {
      ...options, onError: reject,
      onChunkComplete: () => first.abort().then(resolve, reject),
    });
    first.start();
  });
  await new Promise((resolve, reject) => {
    const second = new tus.Upload(file, {
      ...options, onError: reject, onSuccess: resolve,
      onProgress: (sent) => seen.offsets.push(sent),
    });
    second.findPreviousUploads().then((found) => {
      second.resumeFromPreviousUpload(found[0]);
      second.start();
    }, reject);
  });
  return seen;
}"""


# Drops a file on the page, as a file manager does.
_DROP = """({ name, bytes }) => {
  const content = Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([content], name, { type: "video/mp4" }));
  const way = { dataTransfer: dropped, bubbles: true, cancelable: true };
  for (const kind of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, way));
}"""

# Names and states of all rows of the list, in its order.
_ROWS = (
    "[...document.querySelectorAll('.job')].map((row) => [row.dataset.id, row.querySelector('.status').textContent])"
)

# Texts of all captions of a video, also of those that are not shown.
_CAPTIONS = """(video) => [...video.textTracks].flatMap((track) => {
  if (track.mode === "disabled") track.mode = "hidden";
  return [...(track.cues ?? [])].map((cue) => cue.text);
}).join(" ")"""

#: Name of an executor that dies.
SPARE = "spare"


@pytest.fixture(scope="module", autouse=True)
def spare(system: System) -> Iterator[subprocess.Popen[bytes]]:
    """Another executor, of a step that nothing here needs; started first, so that it is there when its test begins."""
    environ = {
        "KINOLOG_DATA_DIR": str(system.data_dir),
        "KINOLOG_EXECUTOR__NAME": SPARE,
        "KINOLOG_EXECUTOR__LANES": json.dumps({SPARE: ["compress"]}),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    settings = to_environ(load(environ).with_cluster(system.cluster))
    command = [sys.executable, "-m", "streams.cli", "executor", "--lane", SPARE]
    with (system.data_dir / "spare.log").open("wb") as log:
        process = subprocess.Popen(command, env={**inherited, **settings}, stderr=log)
    yield process
    process.kill()
    process.wait(30)


@pytest.fixture
def link(system: System) -> str:
    """The link that carries the token."""
    return f"{system.url}/#token={system.token}"


async def opened(page: Page, link: str) -> Page:
    await page.goto(link)
    await page.get_by_text("Live", exact=True).wait_for()
    return page


async def show(page: Page, route: str) -> None:
    await page.evaluate("(route) => { location.hash = route; }", route)


def row_of(page: Page, name: str) -> Locator:
    return page.locator(".job").filter(has_text=name).first


async def test_a_dropped_file_becomes_a_stream_with_captions_that_plays_and_is_found_by_what_is_said(
    browser: Browser, browser_page: Page, complaints: Complaints, link: str, speech: Path
) -> None:
    page, name = await opened(browser_page, link), "dropped.mp4"
    async with opened_page(browser, complaints) as other:
        await opened(other, link)
        await page.evaluate(_DROP, {"name": name, "bytes": base64.b64encode(speech.read_bytes()).decode()})
        row = row_of(page, name)
        await expect(row_of(other, name)).to_be_visible(timeout=ENDED_MS)
        await expect(row.locator("progress")).not_to_have_js_property("value", 0, timeout=ENDED_MS)
        await expect(row.locator(".status")).to_have_text("Ready", timeout=ENDED_MS)
        await eventually(lambda: _agree(page, other), ENDED_S)
    await expect(row.locator(".poster img")).not_to_have_js_property("naturalWidth", 0)
    await row.get_by_role("button", name=f"Play {name}").click()
    video = page.locator("#video")
    await eventually(lambda: _captioned(video, "country"), ENDED_S)
    await video.evaluate("(video) => { video.playbackRate = 4; }")
    await expect(video).to_have_js_property("ended", True, timeout=ENDED_MS)
    await page.keyboard.press("Escape")
    await _find_and_seek(page)


async def _find_and_seek(page: Page) -> None:
    """From a word to the recording, at the moment of the passage, and from there to a line of the transcript."""
    await page.get_by_role("link", name="Search", exact=True).click()
    found = page.locator(".found li")
    await page.get_by_role("radio", name="Words").check(force=True)  # by meaning would load a model
    await page.locator("#view-search").get_by_role("searchbox").fill("country")

    async def search() -> bool:
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("list", name="Passages")).to_have_attribute("aria-busy", "false")
        return await found.count() > 0

    await eventually(search, ENDED_S, 0.5)  # the index follows the transcript
    await expect(found.first.locator("mark").first).to_have_text(re.compile("country", re.IGNORECASE))
    await found.first.get_by_role("link").click()
    player, lines = page.locator("kinolog-player"), page.get_by_role("region", name="Transcript").get_by_role("button")
    await eventually(lambda: player.evaluate("(player) => player.video.readyState > 0"), ENDED_S)
    start_s = float(parse_qs(page.url.partition("?")[2])["t"][0])
    await eventually(lambda: player.evaluate("(player, at_s) => player.currentTime >= at_s", start_s), ENDED_S)
    await lines.last.click()
    await eventually(lambda: player.evaluate("(player, at_s) => player.currentTime > at_s", start_s), ENDED_S)
    await expect(lines.last).to_have_attribute("aria-current", "true")


async def _agree(page: Page, other: Page) -> bool:
    return bool(await page.evaluate(_ROWS) == await other.evaluate(_ROWS))


async def _captioned(video: Locator, word: str) -> bool:
    return word in await video.evaluate(_CAPTIONS)


async def test_a_text_file_fails_with_a_sentence(browser_page: Page, link: str, tmp_path: Path) -> None:
    page = await opened(browser_page, link)
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear reader, this is no film.\n" * 50)
    await page.get_by_label("Choose media files to upload").set_input_files(letter)
    row = row_of(page, letter.name)
    await expect(row.locator(".status")).to_have_text("Failed", timeout=ENDED_MS)
    await expect(row.locator(".error code")).not_to_be_empty()
    await expect(row.locator(".error span")).not_to_be_empty()


async def test_a_running_job_is_cancelled_and_taken_up_again(browser_page: Page, link: str, long_clip: Path) -> None:
    page = await opened(browser_page, link)
    await page.get_by_label("Choose media files to upload").set_input_files(long_clip)
    row = row_of(page, long_clip.name)
    progress = row.get_by_role("progressbar", name=f"Progress of {long_clip.name}")
    await expect(progress).not_to_have_js_property("value", 0, timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)
    await row.get_by_role("button", name="Retry").click()
    await expect(row.locator(".when")).to_contain_text("run 2", timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)


async def test_three_tries_are_seen_and_all_that_failed_alike_is_retried(
    browser_page: Page, link: str, system: System
) -> None:
    async with system.client() as api:
        jobs = [await _submit(api, FAILING) for _ in range(3)]
        for job_id in jobs:
            await api.ended(job_id)
        page = await opened(browser_page, link)
        await show(page, "#/overview")
        group = page.get_by_role("row", name=FAILING_CODE)
        await expect(group.get_by_role("cell").nth(1)).to_have_text("3")
        await group.get_by_role("link", name="Show").click()
        lane = page.locator(".lane").first
        await expect(lane.locator(".bar.retried")).to_have_count(2)
        await expect(lane.locator(".bar.failed")).to_have_count(1)
        tries = [re.compile(f"^Try {n}: {FAILING_CODE}: ") for n in (1, 2, 3)]
        await expect(lane.locator(".lane-error")).to_have_text(tries)
        await page.go_back()
        await page.get_by_role("button", name=f"Retry jobs with {FAILING_CODE}").click()
        dialog = page.get_by_role("dialog", name=f"Retry 3 jobs that failed with {FAILING_CODE}?")
        await dialog.get_by_role("button", name="Retry them").click()
        for job_id in jobs:
            await api.wait(job_id, lambda job: job["run"] == 2, ENDED_S)
        await show(page, f"#{jobs[0]}")
        await expect(lane.locator(".bar:not(.waited)")).to_have_count(6, timeout=ENDED_MS)
        for job_id in jobs:
            await api.ended(job_id)


async def _submit(api: Api, pipeline: str) -> str:
    status, answer = await api.post("/v1/assets", {"input": {"object": "nothing"}, "pipeline": pipeline})
    assert status == 202, answer
    job_id: str = answer["data"]["job_id"]
    return job_id


async def test_a_queue_that_is_paused_here_is_paused_in_every_browser(
    browser: Browser, browser_page: Page, complaints: Complaints, link: str, system: System
) -> None:
    page = await opened(browser_page, link)
    async with system.client() as api, opened_page(browser, complaints) as other:
        await opened(other, link)
        try:
            await _pause_and_resume(page, other, api)
        finally:
            await api.post("/v1/queues/noop/resume")


async def _pause_and_resume(page: Page, other: Page, api: Api) -> None:
    await show(page, "#/queues")
    await page.get_by_role("button", name="Pause noop").click()
    await page.get_by_role("dialog", name="Pause the noop queue?").get_by_role("button", name="Pause it").click()
    await expect(page.get_by_role("row", name="noop")).to_contain_text("Paused for")
    job_id = await _submit(api, "noop")
    row = other.locator(f"[data-id={job_id}]")
    await expect(row.locator(".status")).to_have_text("Paused · noop queue")
    await show(page, "#/overview")
    attention = page.get_by_role("list", name="Needs attention")
    await expect(attention).to_contain_text(re.compile("The noop queue is paused for .*: 1 job waits."))
    await show(page, "#/queues")
    await page.get_by_role("button", name="Resume noop").click()
    await expect(row.locator(".status")).to_have_text("Done")


async def test_an_executor_that_dies_is_marked(browser_page: Page, link: str, spare: subprocess.Popen[bytes]) -> None:
    page = await opened(browser_page, link)
    await show(page, "#/executors")
    row = page.get_by_role("row", name=SPARE)
    await expect(row).to_contain_text("Active")
    spare.kill()
    await expect(row).to_contain_text("Silent")
    await show(page, "#/overview")
    attention = page.get_by_role("list", name="Needs attention")
    await expect(attention).to_contain_text(re.compile(f"Executor [a-z-]*{SPARE} has not reported"))


async def test_a_viewer_sees_no_button_that_is_refused_and_everybody_can_use_every_view(
    browser: Browser, browser_page: Page, complaints: Complaints, link: str, system: System
) -> None:
    async with system.client() as api, opened_page(browser, complaints) as theirs:
        editor, viewer = [await _token(api, role) for role in ("editor", "viewer")]
        job_id = await _upload_as(system, editor)
        await opened(theirs, f"{system.url}/#token={viewer}")
        await expect(theirs.get_by_text("Signed in as anna (viewer)")).to_be_visible()
        assert await _seen(theirs, (*COMMON, "jobs", job_id)) == {}
        await expect(theirs.locator(".job")).to_have_count(1)  # hers
    await opened(browser_page, link)
    assert "jobs" in await _seen(browser_page, (*COMMON, *ADMINS, "jobs", job_id))


#: Views of everybody, and of admins.
COMMON, ADMINS = ("overview", "search", "executors", "queues", "cache"), ("dead-letters", "audit", "tokens")


async def _seen(page: Page, views: Iterable[str]) -> dict[str, list[str]]:
    """Opens the views; commands that each offers. None may be hard to use."""
    await page.evaluate(AXE.read_text())
    found = {}
    for view in views:
        await opened_view(page, view)
        assert await page.evaluate(VIOLATIONS) == [], view
        if commands := await page.evaluate(_COMMANDS):
            found[view] = commands
    return found


async def opened_view(page: Page, view: str) -> None:
    await show(page, f"#{view}" if view.startswith("job_") else f"#/{view}")
    root = {"jobs": "#workspace", "search": ".search-form"}.get(view, f"#view-{view}")
    await page.locator("#job-view" if view.startswith("job_") else root).wait_for()
    if view != "search":
        await expect(page.locator(":is(td, .job, .lane, .queue-card, .empty):visible").first).to_be_visible()


# Labels of visible controls that would change something: all but searching, filtering, playing and looking.
_COMMANDS = """[...document.querySelectorAll("main button, main input[type=checkbox], main input[type=file]")]
  .filter((control) => control.checkVisibility() && !control.closest("form[role=search], .filters, .poster, .files"))
  .map((control) => control.ariaLabel || control.textContent)"""


async def _token(api: Api, role: str) -> str:
    status, answer = await api.post("/v1/tokens", {"role": role, "owner": "anna"})
    assert status == 201, answer
    token: str = answer["data"]["token"]
    return token


async def _upload_as(system: System, token: str) -> str:
    """The id of a job that has failed."""
    file = system.data_dir / "hers.mp4"
    file.write_bytes(b"something")
    async with aiohttp.ClientSession(system.url, headers={"Authorization": f"Bearer {token}"}) as session:
        job_id = (await Api(session).upload(file, pipeline=FAILING))["job_id"]
        await Api(session).ended(job_id)
        return job_id


@pytest_asyncio.fixture(loop_scope="module")
async def page_of_another_site(browser_page: Page) -> AsyncIterator[Page]:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_OTHER_PAGE, content_type="text/html")

    async def client(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_TUS)

    async def icon(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/tus.min.js", client)
    app.router.add_get("/favicon.ico", icon)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", OTHER_SITE_PORT).start()
    await browser_page.goto(f"http://127.0.0.1:{OTHER_SITE_PORT}/")
    yield browser_page
    await runner.cleanup()


async def test_an_upload_of_another_sites_page_is_resumed_and_becomes_a_job(
    page_of_another_site: Page, system: System
) -> None:
    size = 350_000
    asked = {"endpoint": f"{system.url}/v1/uploads/tus", "token": system.token, "size": size}
    seen: dict[str, Any] = await page_of_another_site.evaluate(_UPLOAD, asked)
    assert min(seen["offsets"]) >= 100_000, "it began again"
    [job_id] = {found for found in seen["ids"] if found}
    async with system.client() as api:
        job = await api.ended(job_id)
        assert (job["status"], job["filename"], job["pipeline"]) == ("completed", "Über.mp4", "noop")
        assert system.stored(f"uploads/{job['asset_id']}/source").read_bytes() == b"\x07" * size
