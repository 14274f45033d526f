"""tus-js-client in a browser, on a page of another site: its ways to send a file, two tabs, two replicas."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page

from tests.browser import Complaints, browser, browser_page, complaints
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import Site, serve

__all__ = ["browser", "browser_page", "complaints", "log", "make"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0
SIZE = 1_000_000
_TUS = Path(__file__).parents[5] / ".venv" / "tus.min.js"
_PAGE = "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><script src=tus.min.js></script>"
_UPLOAD = """async ({ options, switchTo, seed, size }) => {
  const file = new File([new Uint8Array(size).fill(seed)], "film.mp4", { type: "video/mp4" });
  const seen = { jobs: [], offsets: [], methods: [] };
  await new Promise((resolve, reject) => {
    const upload = window.upload = new tus.Upload(file, {
      chunkSize: 200_000, retryDelays: [0, 200, 500, 1000, 2000, 3000], ...options,
      metadata: { filename: file.name, pipeline: "noop" },
      onError: reject, onSuccess: resolve,
      onBeforeRequest: (request) => {
        seen.methods.push(request.getMethod());
      },
      onAfterResponse: (request, response) => {
        const job = response.getHeader("Kinolog-Job-Id");
        if (job) seen.jobs.push(job);
      },
      onChunkComplete: (size, sent) => {
        seen.offsets.push(sent);
        // The load balancer sends the next request elsewhere.
        if (switchTo && upload.url && sent === 400_000) upload.url = switchTo + new URL(upload.url).pathname;
      },
    });
    upload.start();
  });
  seen.url = window.upload.url;
  return seen;
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def control(make: Make) -> AsyncIterator[ControlStandIn]:
    async with ControlStandIn(make()) as stand_in:
        yield stand_in


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"KINOLOG_WEB__CORS_ORIGINS": '["*"]', "KINOLOG_WEB__TUS_DIR": str(tmp_path / "tus")}


@pytest_asyncio.fixture(loop_scope="module")
async def site(make: Make, control: ControlStandIn, environ: dict[str, str]) -> AsyncIterator[Site]:
    async with serve(make(**environ)) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def other_site(browser_page: Page) -> AsyncIterator[str]:
    """URL of a page of another site, open in the browser."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def client(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_TUS)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/tus.min.js", client)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await browser_page.goto(url)
    yield url
    await runner.cleanup()


async def upload(page: Page, site: Site, seed: int, *, switch_to: str = "", **options: Any) -> dict[str, Any]:
    """Upload a file of bytes `seed`; what the page saw."""
    endpoint = str(site.server.make_url("/v1/uploads/tus"))
    fixed = {"endpoint": endpoint, "headers": {"Authorization": "Bearer anna-edits"}}
    asked = {"options": fixed | options, "switchTo": switch_to, "seed": seed, "size": SIZE}
    seen: dict[str, Any] = await page.evaluate(_UPLOAD, asked)
    return seen


async def becomes_one_job(
    site: Site, control: ControlStandIn, seen: dict[str, Any], seed: int, known: set[str]
) -> None:
    [job_id] = set(seen["jobs"])
    await eventually(lambda: job_id in control.jobs, PATIENCE_S)
    assert control.jobs.keys() - known == {job_id}
    job = control.jobs[job_id]
    assert (job.filename, job.pipeline) == ("film.mp4", "noop")
    stored = Path(site.parts.settings.data_path) / "store" / (job.input.object or "")
    assert stored.read_bytes() == bytes([seed]) * SIZE
    assert list(Path(site.parts.settings.web.tus_dir or "").iterdir()) == []


#: Options of the client that change what it sends.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "in one piece": {"chunkSize": 10**9},
    "with the creation": {"uploadDataDuringCreation": True},
    "with POST only": {"overridePatchMethod": True},
    "in parallel": {"parallelUploads": 3, "chunkSize": 10**9},
    "length told later": {"uploadLengthDeferred": True},
    "with request ids": {"addRequestId": True},
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_file_becomes_one_job_with_all_its_bytes(
    other_site: str, browser_page: Page, site: Site, control: ControlStandIn, way: str
) -> None:
    known, seed = set(control.jobs), list(WAYS).index(way)
    seen = await upload(browser_page, site, seed, **WAYS[way])
    await becomes_one_job(site, control, seen, seed, known)
    if way == "with POST only":
        assert "PATCH" not in seen["methods"]


@pytest_asyncio.fixture(loop_scope="module")
async def other(make: Make, site: Site, environ: dict[str, str]) -> AsyncIterator[Site]:
    """A second replica."""
    async with serve(make(**environ, KINOLOG_WEB__REPLICA="web-2")) as found:
        yield found


@pytest.mark.usefixtures("other_site")
async def test_an_upload_continues_on_another_replica(
    browser_page: Page, site: Site, other: Site, control: ControlStandIn
) -> None:
    """Replicas that share the folder of uploads; the load balancer is not sticky."""
    known = set(control.jobs)
    base = str(other.server.make_url("/")).rstrip("/")
    seen = await upload(browser_page, site, 8, switch_to=base)
    assert seen["url"].startswith(base), "it stayed where it was"
    await becomes_one_job(site, control, seen, 8, known)


async def test_two_tabs_that_send_the_same_upload_make_one_job(
    other_site: str, browser_page: Page, site: Site, control: ControlStandIn, complaints: Complaints
) -> None:
    """Both resume it from the browser's storage, as after "duplicate tab". Each ends with success."""
    complaints.expect("status of 4")  # a tab is told that it was overtaken, and asks where the upload is
    complaints.expect("ERR_")
    known = set(control.jobs)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE), "Authorization": "Bearer anna-edits"}
    metadata = {"Upload-Metadata": "filename ZmlsbS5tcDQ=,pipeline bm9vcA=="}
    async with site.session.post(site.server.make_url("/v1/uploads/tus"), headers=headers | metadata) as reply:
        begun = str(site.server.make_url(reply.headers["Location"]))
    second = await browser_page.context.new_page()
    await second.goto(other_site)
    start = f"async (asked) => {{ window.done = ({_UPLOAD})(asked).catch((error) => ({{ error: String(error) }})); }}"
    for page in (browser_page, second):
        options = {
            "uploadUrl": begun,
            "endpoint": None,
            "chunkSize": 50_000,
            "headers": {"Authorization": "Bearer anna-edits"},
        }
        await page.evaluate(start, {"options": options, "switchTo": "", "seed": 9, "size": SIZE})
    results = [await page.evaluate("done") for page in (browser_page, second)]
    assert [result.get("error") for result in results] == [None, None], json.dumps(results)
    jobs = {"jobs": [job for result in results for job in result["jobs"]]}
    await becomes_one_job(site, control, jobs, 9, known)
    await second.close()
