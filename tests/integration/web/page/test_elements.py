"""The elements on a page of another site, which has a strict content policy, in a real browser."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from tests.browser import Complaints
from tests.conftest import eventually
from tests.integration.web.conftest import CLIP_S
from tests.integration.web.fake_kinolog import TOKEN, FakeKinolog, job, ready_job, step

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 60.0

OpenSite = Callable[[str], Awaitable[Page]]

#: As on an iPhone.
_NO_MEDIA_SOURCE = 'for (const name of ["MediaSource", "ManagedMediaSource", "WebKitMediaSource"]) delete window[name];'

#: docs/embed.md: what a page with a content policy must allow.
_POLICY = (
    "default-src 'none'; script-src {kinolog}; connect-src {kinolog} {socket}; img-src {kinolog}; "
    "media-src {kinolog} blob: data:; style-src 'none'"
)

#: Collects the events of every element.
_LISTEN = """
window.seen = [];
for (const name of ["change", "complete", "error", "ready"]) {
  document.addEventListener(name, (event) => {
    const { id, job } = event.detail ?? {};
    if (event.target.localName.startsWith("kinolog-") && name !== "change") {
      const { code, asset, status } = event.detail;
      window.seen.push([event.target.id, name, id ?? job?.id ?? code ?? asset ?? status]);
    }
  }, { capture: true });
}
"""


@pytest.fixture
def kinolog(stream_folder: Path) -> FakeKinolog:
    """The fake server, whose operator allows pages of all origins."""
    server = FakeKinolog(stream_folder)
    server.cors_origins = ("*",)
    return server


@pytest_asyncio.fixture(loop_scope="module")
async def open_site(origin: str, browser_page: Page) -> AsyncIterator[OpenSite]:
    """Opens a page of another origin with this body."""
    bodies: list[str] = []
    policy = _POLICY.format(kinolog=origin, socket=origin.replace("http", "ws"))

    async def page(_request: web.Request) -> web.Response:
        text = f'<!doctype html><script type=module src="{origin}/static/elements.js"></script>{bodies[-1]}'
        isolated = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
        headers = {"Content-Security-Policy": policy, **isolated}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def no_icon(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/favicon.ico", no_icon)])
    async with TestServer(app) as server:

        async def open_page(body: str) -> Page:
            bodies.append(body)
            await browser_page.add_init_script(_LISTEN)
            await browser_page.goto(str(server.make_url("/")))
            return browser_page

        yield open_page


def status_of(number: int, **attributes: str) -> str:
    more = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f'<kinolog-status id="s{number}" job="job_{number:06}" token="{TOKEN}" {more}></kinolog-status>'


def active(number: int, progress: float = 0.0) -> dict[str, object]:
    steps = [step("probe", "completed", 100), step("transcode", "active", progress), step("thumbnails")]
    return job(number, "active", steps, progress=progress)


async def seen(page: Page, *events: list[str]) -> None:
    """Waits until these events have come, in this order and no others."""
    expected = list(events)
    try:
        await eventually(lambda: _has_seen(page, expected), PATIENCE_S)
    except AssertionError:
        assert await page.evaluate("window.seen") == expected


async def seen_first(page: Page, event: list[str]) -> None:
    """Waits until this event has come, whatever comes next."""

    async def has_come() -> bool:
        return bool(await page.evaluate("window.seen[0]") == event)

    await eventually(has_come, PATIENCE_S)


async def _has_seen(page: Page, expected: list[list[str]]) -> bool:
    return bool(await page.evaluate("window.seen") == expected)


async def test_a_job_on_another_site_moves_completes_and_holds_no_connection(
    open_site: OpenSite, kinolog: FakeKinolog
) -> None:
    kinolog.jobs["job_000001"] = job(1)
    page = await open_site(status_of(1))
    shown = page.locator("#s1 .status")
    await expect(shown).to_have_text("Waiting")
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(active(1))
    await kinolog.progress("job_000001", "transcode", 42.5, job_progress=38.1, eta_s=30)
    await expect(shown).to_have_text("38 %")
    await expect(page.get_by_role("progressbar", name="Progress of clip-1.mp4")).to_have_js_property("value", 38.1)
    await kinolog.put(ready_job(1))
    await expect(shown).to_have_text("Ready")
    await expect(page.locator("#s1").get_by_role("status")).to_have_text("clip-1.mp4: Ready")
    await seen(page, ["s1", "complete", "job_000001"])
    await eventually(lambda: kinolog.open_sockets == 0, PATIENCE_S)


async def test_elements_of_one_token_share_a_connection_that_ends_with_the_last_of_them(
    open_site: OpenSite, kinolog: FakeKinolog
) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n) for n in (1, 2, 3)}
    page = await open_site("".join(map(status_of, (1, 2, 3))))
    for number in (1, 2, 3):
        await expect(page.locator(f"#s{number} .status")).to_have_text("Waiting")
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    all_three = "job:job_000001,job:job_000002,job:job_000003"
    await eventually(lambda: kinolog.subscriptions[-1] == all_three and kinolog.open_sockets == 1, PATIENCE_S)
    connections = len(kinolog.subscriptions)
    await page.evaluate("document.body.append(s1); s2.remove()")  # a move, and a removal that leaves others
    await kinolog.put(active(1, 20))
    await expect(page.locator("#s1 .status")).to_have_text("20 %")
    assert (kinolog.open_sockets, len(kinolog.subscriptions)) == (1, connections)
    await page.evaluate("s1.remove(); s3.remove()")
    await eventually(lambda: kinolog.open_sockets == 0, PATIENCE_S)


async def test_an_element_resumes_after_a_lost_connection(open_site: OpenSite, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = active(1, 10)
    page = await open_site(status_of(1))
    await expect(page.locator("#s1 .status")).to_have_text("10 %")
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(active(1, 20))
    await expect(page.locator("#s1 .status")).to_have_text("20 %")
    await kinolog.drop_sockets()
    await kinolog.put(job(1, "failed", error={"code": "corrupt-media", "message": "The file is damaged."}))
    await expect(page.locator("#s1 .status")).to_have_text("Failed")
    await expect(page.locator("#s1 .note")).to_have_text("The file is damaged.")
    assert kinolog.resumed_from[:2] == [None, "1"]
    await seen(page, ["s1", "error", "job_000001"])
    await kinolog.put(active(1, 5) | {"run": 2})  # it was retried: a failed job is followed on
    await expect(page.locator("#s1 .status")).to_have_text("5 %")


async def test_a_job_that_is_gone_does_not_take_the_others_with_it(
    open_site: OpenSite, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    complaints.expect("WebSocket connection to .* failed")
    kinolog.jobs = {f"job_{n:06}": job(n) for n in (1, 2)}
    page = await open_site("".join(map(status_of, (1, 2, 7))))
    await expect(page.locator("#s7")).to_contain_text("Not found, or not yours.")
    await seen(page, ["s7", "error", "not-found"])
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    del kinolog.jobs["job_000002"]  # while the connection is lost: it is the subscription that is refused then
    await kinolog.drop_sockets()
    await expect(page.locator("#s2")).to_contain_text("Not found, or not yours.")
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(active(1, 30))
    await expect(page.locator("#s1 .status")).to_have_text("30 %")


async def test_a_wrong_token_and_a_wrong_origin_are_said(
    open_site: OpenSite, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    complaints.expect("nowhere.invalid")
    kinolog.jobs["job_000001"] = job(1)
    page = await open_site(
        "<kinolog-status id=a job=job_000001 token=wrong></kinolog-status>"
        f'<kinolog-status id=b job=job_000001 token={TOKEN} src="https://nowhere.invalid"></kinolog-status>'
    )
    await expect(page.locator("#a")).to_contain_text("A token is needed.")
    await expect(page.locator("#b")).to_contain_text("The service cannot be reached.")
    await seen(page, ["a", "error", "unauthorized"], ["b", "error", "unreachable"])


async def test_the_newest_jobs_are_listed_and_stay_true(open_site: OpenSite, kinolog: FakeKinolog) -> None:
    kinolog.jobs = {f"job_{n:06}": job(n) for n in range(1, 6)}
    page = await open_site(f'<kinolog-jobs id=jobs limit=3 token="{TOKEN}"></kinolog-jobs>')
    names = page.locator("#jobs .name")
    await expect(names).to_have_text(["clip-5.mp4", "clip-4.mp4", "clip-3.mp4"])
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(job(6))
    await expect(names).to_have_text(["clip-6.mp4", "clip-5.mp4", "clip-4.mp4"])
    await kinolog.delete("job_000005")
    await expect(names).to_have_text(["clip-6.mp4", "clip-4.mp4", "clip-3.mp4"])
    await kinolog.put(ready_job(4))
    await expect(page.locator("#jobs .status")).to_have_text(["Waiting", "Ready", "Waiting"])
    await seen(page, ["jobs", "complete", "job_000004"])


async def test_what_a_page_sets_before_the_module_is_there_counts(open_site: OpenSite, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = job(1)
    page = await open_site("")
    await page.evaluate(
        """([token]) => {
          const early = document.createElement("kinolog-status");
          Object.assign(early, { id: "s1", job: "job_000001", token });
          document.body.append(early);
        }""",
        [TOKEN],
    )
    await expect(page.locator("#s1 .status")).to_have_text("Waiting")
    assert await page.locator("#s1").get_attribute("token") is None, "a token that is a property is not in the document"
    await page.evaluate("import(document.querySelector('script[src]').src + '?copy')")  # some pages load it twice


async def test_a_recording_plays_on_another_site_with_captions_and_pictures(
    open_site: OpenSite, kinolog: FakeKinolog
) -> None:
    kinolog.jobs["job_000001"] = ready_job(1)
    kinolog.captioned.add("asset_000001")
    page = await open_site(f'<kinolog-player id=p asset=asset_000001 token="{TOKEN}" muted></kinolog-player>')
    await expect(page.locator("#p .poster")).to_have_js_property("naturalWidth", 320)
    await expect(page.locator("#p .poster")).to_be_visible()
    await page.locator("#p .strip input").hover(position={"x": 10, "y": 20})
    await expect(page.locator("#p .preview")).to_contain_text("0:00")
    await expect(page.locator("#p .preview img")).to_have_js_property("naturalWidth", 320)
    await page.locator("#p .strip input").focus()
    await page.keyboard.press("ArrowRight")
    video = page.locator("#p video")
    await eventually(lambda: video.evaluate("(video) => video.currentTime > 0"), PATIENCE_S)
    tracks = "(video) => [...video.textTracks].map(({ kind, label }) => kind + label)"
    await eventually(lambda: _has(video.evaluate(tracks), ["captionsCaptions"]), PATIENCE_S)
    await video.evaluate("(video) => { video.textTracks[0].mode = 'showing'; }")
    await eventually(lambda: video.evaluate("(video) => video.textTracks[0].cues?.length === 1"), PATIENCE_S)
    await page.evaluate("p.play()")
    await seen(page, ["p", "ready", "READY"], ["p", "complete", "asset_000001"])
    assert await page.evaluate("p.currentTime") >= CLIP_S - 0.2
    assert await page.evaluate("window.Hls === undefined"), "a page's own hls.js must stay its own"
    await page.evaluate("p.remove()")


async def test_a_recording_plays_where_the_browser_has_hls_of_its_own_and_no_media_source(
    open_site: OpenSite, kinolog: FakeKinolog, browser_page: Page, origin: str, complaints: Complaints
) -> None:
    """videojs/videojs-contrib-hls#1087: there the start time was ignored."""
    complaints.expect("status of 403")
    await browser_page.add_init_script(_NO_MEDIA_SOURCE)
    kinolog.jobs["job_000001"] = ready_job(1)
    kinolog.captioned.add("asset_000001")
    page = await open_site(f'<kinolog-player id=p asset=asset_000001 start=1 token="{TOKEN}" muted></kinolog-player>')
    await seen(page, ["p", "ready", "READY"])
    video, url = page.locator("#p video"), f"{origin}/media/s/1.signature/asset_000001/transcode/1-a/master.m3u8"
    await expect(video).to_have_js_property("currentSrc", url)
    await expect(video).to_have_js_property("currentTime", 1)
    await expect(video.locator("track")).to_have_count(1)
    await page.evaluate("p.play()")
    await seen(page, ["p", "ready", "READY"], ["p", "complete", "asset_000001"])
    assert await video.evaluate("(video) => video.played.start(0)") >= 1
    kinolog.first_valid_signature = 2
    await page.evaluate("p.video.load(); p.play().catch(() => {})")
    await eventually(
        lambda: video.evaluate("(video) => video.currentSrc.includes('/s/2.') && video.readyState > 0"), PATIENCE_S
    )


async def _has(value: Awaitable[object], expected: object) -> bool:
    return await value == expected


async def test_a_recording_that_is_not_ready_starts_when_it_is(open_site: OpenSite, kinolog: FakeKinolog) -> None:
    kinolog.jobs["job_000001"] = active(1, 10)
    page = await open_site(f'<kinolog-player id=p asset=asset_000001 token="{TOKEN}" muted autoplay></kinolog-player>')
    await expect(page.locator("#p .message")).to_contain_text("is being prepared")
    await eventually(lambda: kinolog.open_sockets == 1, PATIENCE_S)
    await kinolog.put(ready_job(1))
    await seen_first(page, ["p", "ready", "READY"])
    await page.evaluate("document.body.prepend(p)")  # as frameworks do that sort: it plays on
    await seen(page, ["p", "ready", "READY"], ["p", "complete", "asset_000001"])
    assert kinolog.open_sockets == 0
    await page.evaluate("p.removeAttribute('asset')")
    await expect(page.locator("#p video")).not_to_have_attribute("src", re.compile("."))


async def test_a_recording_goes_on_when_its_urls_have_expired(
    open_site: OpenSite, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("status of 403")
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await open_site(f'<kinolog-player id=p asset=asset_000001 token="{TOKEN}" muted></kinolog-player>')
    await seen(page, ["p", "ready", "READY"])
    kinolog.first_valid_signature = 2
    await page.evaluate("p.currentTime = 2")
    await page.evaluate("p.play().catch(() => {})")  # interrupted by the new URLs, and resumed
    await seen(page, ["p", "ready", "READY"], ["p", "complete", "asset_000001"])


_PRESS_AS_URLS_ARRIVE = """
async ([origin, press, autoplay]) => {
  const { Playback } = await import(`${origin}/static/embed/playback.js`);
  const path = "asset_000001/transcode/1-a/master.m3u8";
  const stream = (number) => ({ master_url: `${origin}/media/s/${number}.signature/${path}` });
  const video = Object.assign(document.createElement("video"), { crossOrigin: "anonymous", muted: true });
  document.body.append(video);
  const urls = async () => (press === "play" ? video.play().catch(() => {}) : video.pause(), stream(2));
  new Playback({ video, urls, onProblem: () => {} }).start(stream(1), { autoplay });
  await new Promise((renewed) => video.addEventListener("emptied", renewed));
}
"""
_VIDEO = "(() => { const { paused, ended, readyState } = document.querySelector('video'); return "


@pytest.mark.parametrize("press", ["play", "pause"])
async def test_what_is_pressed_as_new_urls_arrive_counts(
    open_site: OpenSite, kinolog: FakeKinolog, complaints: Complaints, origin: str, press: str
) -> None:
    complaints.expect("status of 403")
    kinolog.first_valid_signature = 2
    page = await open_site("")
    await page.evaluate(_PRESS_AS_URLS_ARRIVE, [origin, press, press == "pause"])
    shown = "ended" if press == "play" else "paused && readyState === 4"
    await eventually(lambda: page.evaluate(f"{_VIDEO}{shown}; }})()"), PATIENCE_S)
    if press == "pause":
        await asyncio.sleep(0.5)  # it would have begun by now
        assert await page.evaluate(f"{_VIDEO}paused && !ended; }})()")


async def test_a_recording_goes_on_after_a_lost_network(
    open_site: OpenSite, kinolog: FakeKinolog, complaints: Complaints
) -> None:
    complaints.expect("ERR_INTERNET_DISCONNECTED|ERR_FAILED|CORS")
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await open_site("")
    await page.route("**/transcode/**", lambda route: route.abort())  # before anything is buffered
    added = (
        "(token) => document.body.append(Object.assign(document.createElement('kinolog-player'), { id: 'p', token }))"
    )
    await page.evaluate(added, TOKEN)
    await page.evaluate("p.toggleAttribute('muted'); p.toggleAttribute('autoplay'); p.asset = 'asset_000001'")
    await seen(page, ["p", "ready", "READY"])
    await page.route("**/v1/**", lambda route: route.abort())
    await expect(page.locator("#p .message")).to_contain_text("cannot be reached")
    await page.unroute_all(behavior="ignoreErrors")
    await seen(page, ["p", "ready", "READY"], ["p", "complete", "asset_000001"])


async def test_signed_urls_of_the_sites_own_server_need_no_token(
    open_site: OpenSite, kinolog: FakeKinolog, origin: str
) -> None:
    kinolog.jobs["job_000001"] = ready_job(1)
    page = await open_site("<kinolog-player id=p muted autoplay></kinolog-player>")
    base = f"{origin}/media/s/1.signature/asset_000001"
    await page.evaluate(
        "(url) => { p.playback = { master_url: url, status: 'READY' }; }", f"{base}/transcode/1-a/master.m3u8"
    )
    await seen(page, ["p", "ready", "READY"], ["p", "complete", ""])
    assert kinolog.signed == {}
