"""Live clients as others wrote them: a browser's EventSource, and `websockets` with its default limits."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import websockets
from aiohttp import web
from msgspec.structs import replace
from playwright.async_api import Page

from tests.browser import Complaints, browser, browser_page, complaints
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import Site, serve
from tests.unit.web.rows import a_job
from web.live.hub import GOING_AWAY

__all__ = ["browser", "browser_page", "complaints", "log", "make"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0
#: A page that follows jobs as the documentation of EventSource shows it: no handler of errors, no reconnection.
_FOLLOW = """(url) => {
  window.seen = [];
  window.opened = 0;
  window.source = new EventSource(url);
  source.onopen = () => opened++;
  source.onmessage = ({ data }) => seen.push(JSON.parse(data));
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def control(make: Make) -> AsyncIterator[ControlStandIn]:
    async with ControlStandIn(make()) as stand_in:
        yield stand_in


@pytest_asyncio.fixture(loop_scope="module")
async def site(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    async with serve(make(KINOLOG_WEB__CORS_ORIGINS='["*"]')) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def other_page(browser_page: Page) -> AsyncIterator[Page]:
    """A page of another site."""

    async def empty(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><link rel=icon href=data:,>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    page_site = web.TCPSite(runner, "127.0.0.1", 0)
    await page_site.start()
    await browser_page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    yield browser_page
    await runner.cleanup()


async def follow(page: Page, site: Site, job_id: str) -> None:
    _, body = await site.ask("POST", "/v1/live/tickets", "anna-views")
    query = {"subscribe": f"job:{job_id}", "ticket": body["data"]["ticket"]}
    await page.evaluate(_FOLLOW, str(site.server.make_url("/v1/live/sse").with_query(query)))
    await statuses(page, "waiting")


async def statuses(page: Page, last: str) -> list[str]:
    """Statuses of the job that the page has seen, once it has seen `last`."""

    async def seen() -> list[str]:
        frames: list[dict[str, Any]] = await page.evaluate("seen")
        jobs = [job for frame in frames for job in frame.get("jobs", [frame["job"]] if "job" in frame else [])]
        found = [job["status"] for job in jobs]
        return found if last in found else []

    found: list[str] = await eventually(seen, PATIENCE_S)
    return found


async def new_job(site: Site, control: ControlStandIn) -> str:
    job = a_job(time.time_ns() % 10**9, "waiting", owner="anna")
    await control.put(job)

    async def is_known() -> bool:
        return (await site.ask("GET", f"/v1/jobs/{job.id}", "anna-views"))[0] == 200

    assert await eventually(is_known, PATIENCE_S)
    return job.id


async def opened_times(page: Page) -> int:
    return int(await page.evaluate("opened"))


async def test_a_browsers_event_source_reconnects_by_itself_and_misses_nothing(
    other_page: Page, site: Site, control: ControlStandIn, complaints: Complaints
) -> None:
    """It goes back to the same URL, ticket and all, and gives up for good on anything but 200."""
    complaints.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
    job_id = await new_job(site, control)
    await follow(other_page, site, job_id)
    for times, status in ((2, "active"), (3, "failed")):
        site.parts.hub.close_all(GOING_AWAY)
        await control.change(job_id, status=status)
        await statuses(other_page, status)
        assert await opened_times(other_page) >= times
    assert await other_page.evaluate("seen.filter(({ type }) => type === 'snapshot').length") == 1, "it was resumed"


async def test_a_browser_that_comes_while_the_service_starts_tries_again(
    other_page: Page, site: Site, control: ControlStandIn, complaints: Complaints
) -> None:
    complaints.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
    job_id = await new_job(site, control)
    await follow(other_page, site, job_id)
    site.parts.position.rebuilding = True
    site.parts.hub.close_all(GOING_AWAY)

    async def was_turned_away() -> bool:
        return await opened_times(other_page) >= 2

    assert await eventually(was_turned_away, PATIENCE_S)
    site.parts.position.rebuilding = False
    await control.change(job_id, status="failed")
    await statuses(other_page, "failed")


@pytest.mark.parametrize("last", ["garbage", "7", "\xe4", "eyJ4Ijox", "null", "x" * 5_000])
async def test_an_event_id_that_is_no_cursor_begins_with_a_snapshot(
    site: Site, control: ControlStandIn, last: str
) -> None:
    job_id = await new_job(site, control)
    headers = {"Authorization": "Bearer anna-views", "Last-Event-ID": last}
    url = site.server.make_url(f"/v1/live/sse?subscribe=job:{job_id}")
    async with site.session.get(url, headers=headers) as events:
        assert events.status == 200
        line = await anext(line async for line in events.content if line.startswith(b"data: "))
    assert json.loads(line[6:])["type"] == "snapshot"


async def test_python_websockets_with_its_defaults_follows_a_thousand_jobs(site: Site, control: ControlStandIn) -> None:
    """Its limit of 1 MiB closed the connection with 1009, at each try."""
    first = time.time_ns() % 10**9
    jobs = [replace(a_job(first + n, "waiting", owner="anna"), passthrough="x" * 1_500) for n in range(1_000)]
    await control.put_all(jobs)

    async def all_known() -> bool:
        _, stats = await site.ask("GET", "/v1/stats", "anna-views")
        return bool(stats["data"]["jobs"]["waiting"] >= len(jobs))

    assert await eventually(all_known, PATIENCE_S)
    url = str(site.server.make_url("/v1/live?subscribe=owner:anna").with_scheme("ws"))
    async with websockets.connect(url, additional_headers={"Authorization": "Bearer anna-views"}) as live:
        parts = [json.loads(await live.recv())]
        while not parts[-1]["last"]:
            parts.append(json.loads(await live.recv()))
        seen = {job["id"] for part in parts for job in part["jobs"]}
        assert len(seen) == 1_000 and len(parts) > 1
        await control.change(jobs[-1].id, status="active")
        while (frame := json.loads(await live.recv()))["type"] != "job":
            pass
        assert (frame["job"]["id"], frame["job"]["status"]) == (jobs[-1].id, "active")
