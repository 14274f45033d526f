"""A page of another site over the whole system: it shows a job from its upload on, and plays what comes out of it.

By the elements, and by the React components of the replaced systems, whose routes answer here.
"""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, expect

from tests.browser import browser, browser_page, complaints
from tests.conftest import eventually
from tests.e2e.conftest import OTHER_SITE_PORT
from tests.e2e.system import System
from tests.react import NEWEST, react_routes

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: A transcode on a machine that does other things too.
ENDED_S = 180.0

# What docs/embed.md shows: the client, an element for the job and for its recording, and the React components.
_PAGE = """<!doctype html><meta charset=utf-8><div id=root></div>
<script type=importmap>{{"imports": {{"react": "/react.js", "kinolog/react": "{url}/static/react/index.js"}}}}</script>
<script type=module>
import "{url}/static/elements.js";
import {{ Kinolog }} from "{url}/static/kinolog.js";
import {{ createElement as h, createRoot }} from "react";
import {{ JobProgress, KinologProvider, MediaProcessingStatus, VideoProcessingProgress }} from "kinolog/react";
window.ended = [];
window.submit = async (bytes) => {{
  const kinolog = new Kinolog({{ url: "{url}", token: "{token}" }});
  const content = Uint8Array.from(atob(bytes), (byte) => byte.charCodeAt(0));
  const file = new File([content], "embedded.mp4", {{ type: "video/mp4" }});
  const {{ asset_id, job_id }} = await kinolog.submit(file);
  for (const [tag, of] of [["status", {{ job: job_id }}], ["player", {{ asset: asset_id }}]]) {{
    const element = Object.assign(document.createElement(`kinolog-${{tag}}`), {{ token: "{token}", ...of }});
    element.addEventListener("complete", () => window.ended.push(tag));
    element.toggleAttribute("muted");
    element.toggleAttribute("autoplay");
    document.body.append(element);
  }}
  const done = (name) => ({{ onComplete: () => window.ended.push(name) }});
  createRoot(document.getElementById("root")).render(h(KinologProvider, {{ url: "{url}", token: "{token}" }},
    h(JobProgress, {{ jobId: job_id, ...done("JobProgress") }}),
    h(MediaProcessingStatus, {{ mediaId: asset_id, ...done("MediaProcessingStatus") }}),
    h(VideoProcessingProgress, {{ queueId: job_id, ...done("VideoProcessingProgress") }})));
  return asset_id;
}};
window.ready = true;
</script>"""


@pytest_asyncio.fixture(loop_scope="module")
async def site(browser_page: Page, system: System) -> AsyncIterator[Page]:
    """The page of another site."""
    text = _PAGE.format(url=system.url, token=system.token)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    async def no_icon(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/favicon.ico", no_icon), *react_routes(NEWEST)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", OTHER_SITE_PORT).start()
    await browser_page.goto(f"http://127.0.0.1:{OTHER_SITE_PORT}/")
    await browser_page.wait_for_function("window.ready")
    yield browser_page
    await browser_page.goto("about:blank")
    await runner.cleanup()


async def test_a_job_and_its_recording_are_shown_on_another_site_and_on_the_page(
    site: Page, system: System, clip: Path
) -> None:
    asset_id = await site.evaluate("(bytes) => submit(bytes)", base64.b64encode(clip.read_bytes()).decode())
    await expect(site.locator("kinolog-status .status")).to_have_text("Ready", timeout=ENDED_S * 1000)
    await eventually(lambda: _have_ended(site), ENDED_S)
    await expect(site.locator(".kinolog-progress-status")).to_have_text(["completed", "ready", "completed"])
    await site.goto(f"{system.url}/#token={system.token}")
    await site.get_by_text("Live", exact=True).wait_for()
    await site.evaluate("(id) => { location.hash = `#/asset/${id}`; }", asset_id)
    await expect(site.get_by_role("heading", name="embedded.mp4")).to_be_visible()
    await expect(site.locator(".asset-renditions tbody tr").first).to_contain_text("360")
    await expect(site.locator(".asset-files .file-size").first).not_to_be_empty()
    player = site.locator("kinolog-player")
    await eventually(lambda: player.evaluate("(player) => player.video.readyState > 0"), ENDED_S)
    await expect(player.locator(".strip .frame img").first).not_to_have_js_property("naturalWidth", 0)


_COMPONENTS = ("JobProgress", "MediaProcessingStatus", "VideoProcessingProgress")


async def _have_ended(page: Page) -> bool:
    return sorted(await page.evaluate("window.ended")) == sorted(["status", "player", *_COMPONENTS])
