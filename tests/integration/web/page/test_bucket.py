"""The page with a bucket on another origin: posters are shown, streams play, and the browser blocks nothing."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from msgspec.structs import replace
from playwright.async_api import Locator, Page, Route, expect

from tests.browser import Complaints
from tests.bucket import BUCKET, environ, faulty, make_bucket, moto
from tests.integration.web.conftest import CLIP_S
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import ADMIN, Site, serve
from tests.unit.web.rows import a_job, a_step

__all__ = ["log", "make"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: How the service reaches the bucket, and how the browser does: the same, or by an endpoint of its own.
ENDPOINTS = ("one", "public")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def filename() -> str:
    """Of the asset of this test: the log is the module's."""
    return f"clip-{time.time_ns()}.mp4"


@pytest_asyncio.fixture(loop_scope="module", params=ENDPOINTS)
async def store_settings(
    request: pytest.FixtureRequest, server: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, str]]:
    """Of the service. With a public endpoint it reaches the bucket through a proxy that the browser does not know."""
    await make_bucket(server)
    async with faulty(server, broken=0, slow_down=0, slow=0, cut=0) as (inner, _):
        public = {"KINOLOG_STORE__PUBLIC_ENDPOINT": server} if request.param == "public" else {}
        for name, value in environ(inner if public else server).items():
            monkeypatch.setenv(name, value)
        yield {"KINOLOG_STORE__URL": f"s3://{BUCKET}/below", **public}


@pytest_asyncio.fixture(loop_scope="module")
async def site(make: Make, store_settings: dict[str, str], stream_folder: Path, filename: str) -> AsyncIterator[Site]:
    """A replica over a bucket with an asset, `filename`, that is published."""
    settings = make(**store_settings)
    async with ControlStandIn(settings) as control, serve(settings) as found:
        await publish(found, control, stream_folder, filename)
        yield found


async def publish(site: Site, control: ControlStandIn, stream_folder: Path, filename: str) -> None:
    job = replace(a_job(time.time_ns() % 10**9, "completed", owner="anna"), filename=filename, started_at=time.time())
    root = f"assets/{job.asset_id}"
    for path in stream_folder.iterdir():
        folder = "thumbnails" if path.suffix in (".jpg", ".vtt") else "transcode"
        await site.parts.store.put(f"{root}/{folder}/1-a/{path.name}", chunks(path), 10**9)
    pictures = {
        name: f"{root}/thumbnails/1-a/{name}.{kind}" for name, kind in (("poster", "jpg"), ("storyboard", "vtt"))
    }
    steps = (
        a_step("transcode", "completed", outputs={"master": f"{root}/transcode/1-a/master.m3u8"}),
        a_step("thumbnails", "completed", outputs=pictures),
    )
    await control.put(replace(job, steps=steps))


async def chunks(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


@pytest_asyncio.fixture(loop_scope="module")
async def row(site: Site, filename: str, browser_page: Page) -> Locator:
    """The asset's row on the page."""
    await browser_page.goto(f"{site.server.make_url('/')}#token={ADMIN}")
    await browser_page.get_by_text("Live", exact=True).wait_for()
    return browser_page.locator(".job").filter(has_text=filename)


async def test_posters_storyboards_and_streams_of_a_bucket_are_seen_on_the_page(
    row: Locator, browser_page: Page
) -> None:
    poster = row.get_by_role("button", name="Play clip")
    await expect(poster.locator("img")).to_have_js_property("naturalWidth", 320)
    await skimmed(poster)
    await poster.click()
    video = browser_page.locator("#video")
    await expect(video).to_have_js_property("ended", True)
    assert await video.evaluate("(video) => video.currentTime") >= CLIP_S - 0.2
    assert await video.evaluate("(video) => video.currentSrc.slice(0, 5)") == "blob:", "hls.js was not what played"


async def skimmed(poster: Locator) -> None:
    """Move the pointer over the poster, as a person does, until a frame is shown."""
    async with asyncio.timeout(60):
        for step in itertools.count():
            await poster.hover(position={"x": 30 + step % 40, "y": 20})
            if await poster.locator(".skim").is_visible():
                return
            await asyncio.sleep(0.1)


async def test_a_storyboard_that_could_not_be_fetched_is_tried_again(
    row: Locator, browser_page: Page, complaints: Complaints
) -> None:
    complaints.expect("storyboard.vtt")
    failures = [503, None]  # None: the connection fails

    async def fail(route: Route) -> None:
        if not failures:
            await route.continue_()
        elif (status := failures.pop()) is None:
            await route.abort()
        else:
            await route.fulfill(status=status)

    await browser_page.route("**/storyboard.vtt*", fail)
    await skimmed(row.get_by_role("button", name="Play clip"))
    assert not failures


async def test_the_browsers_own_player_plays_from_a_bucket(
    row: Locator, browser_page: Page, complaints: Complaints
) -> None:
    complaints.expect("hls.min.js")
    await browser_page.route("**/vendor/hls.min.js", lambda route: route.abort())
    await row.get_by_role("button", name="Play clip").click()
    await expect(browser_page.locator("#video")).to_have_js_property("ended", True)


async def test_the_policy_names_the_bucket_where_readers_are_sent_there_and_nothing_else(
    site: Site, server: str, make: Make
) -> None:
    policy = await policy_of(site)
    for directive in ("img-src", "media-src", "connect-src"):
        assert server in policy[directive], directive
    others = {
        source
        for name, sources in policy.items()
        if name not in ("img-src", "media-src", "connect-src")
        for source in sources
    }
    assert not any("http" in source for source in others)
    async with serve(
        make(KINOLOG_STORE__URL=f"s3://{BUCKET}", KINOLOG_STORE__REDIRECT="false", KINOLOG_WEB__REPLICA="through")
    ) as through:
        assert "http" not in json.dumps(await policy_of(through))
    async with serve(make(KINOLOG_WEB__REPLICA="folder")) as folder:
        assert "http" not in json.dumps(await policy_of(folder))


async def policy_of(site: Site) -> dict[str, list[str]]:
    async with ClientSession() as session, session.get(site.server.make_url("/")) as page:
        text = page.headers["Content-Security-Policy"]
    return {name: sources for name, *sources in (directive.split() for directive in text.split(";") if directive)}
