"""The page over the whole system: a file is chosen in the browser, and what comes out of it plays there.

And a page of another site with tus-js-client, which Uppy uploads with.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from tests.browser import browser, browser_page, complaints
from tests.e2e.conftest import OTHER_SITE_PORT
from tests.e2e.system import System

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: A transcode on a machine that does other things too.
ENDED_MS = 180_000

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
    progress = row.get_by_role("progressbar", name=f"Progress of {long_clip.name}")
    await expect(progress).not_to_have_js_property("value", 0, timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)
    await row.get_by_role("button", name="Retry").click()
    await expect(row.locator(".when")).to_contain_text("run 2", timeout=ENDED_MS)
    await row.get_by_role("button", name="Cancel").click()
    await expect(row.locator(".status")).to_have_text("Cancelled", timeout=ENDED_MS)


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
