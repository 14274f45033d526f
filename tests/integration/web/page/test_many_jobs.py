"""The page in a real browser over a real replica with thousands of jobs: more than any snapshot holds."""

import io
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from schemas.jobs import Job
from tests.browser import Complaints
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import ADMIN, Site, serve
from tests.unit.web.rows import a_job, a_step, an_error

__all__ = ["log", "make"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

JOBS, FAILED, QUEUED = 3_000, 4, 1_200


def rows() -> list[Job]:
    """The oldest have failed, the newest wait; every third one is Anna's."""
    return [_row(n) for n in range(JOBS)]


def _row(number: int) -> Job:
    more: dict[str, Any] = {"filename": f"clip-{number}.mp4", "owner": "anna" if number % 3 == 0 else "bert"}
    if number < FAILED:
        return a_job(number, "failed", (a_step("noop", "failed"),), error=an_error(), **more)
    if number < JOBS - QUEUED:
        return a_job(number, "completed", (a_step("noop", "completed"),), **more)
    return a_job(number, "waiting", (a_step("noop", requested_at=float(number)),), **more)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def control(log: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlStandIn]:
    """Control, which has written all rows."""
    from streams.settings import load
    from tests.integration.web.served import ENVIRON

    folder = str(tmp_path_factory.mktemp("control"))
    settings = load(ENVIRON | log.environ | {"KINOLOG_DATA_DIR": folder})
    async with ControlStandIn(settings) as stand_in:
        await stand_in.put_all(rows())
        yield stand_in


@pytest_asyncio.fixture(loop_scope="module")
async def replica(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    """A replica that has read them. Name it before `browser_page`: what is named last is closed first."""
    async with serve(make()) as site:
        yield site


async def opened(page: Page, site: Site, token: str, query: str = "") -> Page:
    await page.goto(f"{site.server.make_url('/')}{query}#token={token}")
    await page.get_by_text("Live", exact=True).wait_for()
    return page


def names(*numbers: int) -> list[str]:
    return [f"clip-{number}.mp4" for number in numbers]


async def test_four_old_failures_among_thousands_are_counted_and_found(
    replica: Site, browser_page: Page, control: ControlStandIn
) -> None:
    page = await opened(browser_page, replica, ADMIN)
    await expect(page.get_by_role("radio", name=f"All {JOBS}", exact=True)).to_be_checked()
    await page.get_by_role("radio", name="Failed 4", exact=True).check(force=True)
    await expect(page.locator(".job .name")).to_have_text(names(3, 2, 1, 0))
    row = control.jobs["job_000002"]
    await control.put(a_job(2, "waiting", (a_step("noop"),), run=2, filename=row.filename, owner=row.owner))
    await expect(page.get_by_role("radio", name="Failed 3", exact=True)).to_be_checked()
    await expect(page.locator(".job .name")).to_have_text(names(3, 1, 0))
    await control.put(row)
    await page.get_by_role("searchbox", name="Find jobs by name or id").fill("CLIP-2.")
    await expect(page.locator(".job .name")).to_have_text(names(2))
    await page.reload()
    await expect(page.locator(".job .name")).to_have_text(names(2))


async def test_a_viewer_counts_their_own(replica: Site, browser_page: Page, control: ControlStandIn) -> None:
    page = await opened(browser_page, replica, "anna-views", "?show=failed")
    await expect(page.get_by_role("radio", name="Failed 2", exact=True)).to_be_checked()
    await expect(page.get_by_role("radio", name="All 1000", exact=True)).to_be_visible()
    await expect(page.locator(".job .name")).to_have_text(names(3, 0))
    for number, owner in ((5_001, "bert"), (5_002, "anna")):
        await control.put(a_job(number, "failed", filename=f"clip-{number}.mp4", owner=owner))
    await expect(page.get_by_role("radio", name="Failed 3", exact=True)).to_be_visible()
    await expect(page.locator(".job .name")).to_have_text(names(5_002, 3, 0))
    for number in (5_001, 5_002):
        await control.delete(f"job_{number:06}")


async def test_all_of_a_filter_is_paged_through(replica: Site, browser_page: Page) -> None:
    page = await opened(browser_page, replica, ADMIN, "?q=clip-29")
    await page.get_by_role("button", name="Show 50 more of 61").click()
    await page.get_by_role("button", name="Show 11 more of 11").click()
    await expect(page.locator(".job")).to_have_count(111)
    await expect(page.locator("#more")).to_be_hidden()


async def test_a_queue_that_an_admin_pauses_is_seen_where_jobs_wait_in_it(replica: Site, browser_page: Page) -> None:
    page = await opened(browser_page, replica, "anna-views", "?show=running")
    await expect(page.locator(".job .status").first).to_have_text("Waiting")
    for number in (50, 100):
        await page.get_by_role("button", name=f"Show {number} more").click()
    await expect(page.locator(".job")).to_have_count(200)
    assert (await replica.ask("POST", "/v1/queues/noop/pause"))[0] == 202
    await expect(page.locator(".job .status")).to_have_text(["Paused · noop queue"] * 200)
    assert (await replica.ask("POST", "/v1/queues/noop/resume"))[0] == 202
    await expect(page.locator(".job .status")).to_have_text(["Waiting"] * 200)


async def test_a_large_file_whose_connection_breaks_goes_on_from_what_the_server_has(
    replica: Site, browser_page: Page, control: ControlStandIn, complaints: Complaints, tmp_path: Path
) -> None:
    """The last test of this module: the job stays in the list."""
    complaints.expect("ERR_FAILED")
    film = tmp_path / "film.mp4"
    film.write_bytes(random.Random(1).randbytes(17_000_000))
    offsets: list[str] = []

    async def break_first(route: Route) -> None:
        offsets.append(route.request.headers["upload-offset"])
        if len(offsets) > 1:
            return await route.continue_()
        headers = await route.request.all_headers()
        part = io.BytesIO(film.read_bytes()[:5_000_000])
        async with replica.session.patch(route.request.url, data=part, headers=_without_length(headers)) as response:
            assert response.status == 204
        return await route.abort()

    page = await opened(browser_page, replica, ADMIN)
    await page.route(
        "**/v1/uploads/tus/*",
        lambda route: break_first(route) if route.request.method == "PATCH" else route.continue_(),
    )
    await page.get_by_label("Pipeline", exact=True).first.select_option("noop")
    await page.get_by_label("Priority", exact=True).select_option("high")
    await page.get_by_label("Choose media files to upload").set_input_files(film)
    row = page.locator(".job").filter(has_text="film.mp4")
    await expect(row.locator(".meta")).to_contain_text("noop · high priority")
    assert offsets == ["0", "5000000"]
    job = next(job for job in control.jobs.values() if job.filename == "film.mp4")
    stored = replica.parts.settings.data_path / "store" / (job.input.object or "")
    assert (job.pipeline, job.priority) == ("noop", "high")
    assert stored.read_bytes() == film.read_bytes()
    await page.get_by_role("link", name="Overview").click()
    await expect(page.locator(".system-card")).to_contain_text(["Up to date", "free"])
    await expect(page.locator(".system-card").last).to_contain_text("Disk of media and uploads")


def _without_length(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-length"}
