"""Captions as a browser shows them: hls.js in Chromium, at the moment at which they were said."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from processors.captions import Captioner
from processors.transcribe import write
from processors.transcripts.cues import ReadingSpeed
from schemas.captions import CaptionsOutputs
from schemas.transcribe import SpeechModel, TranscribeOutputs, Transcript, TranscriptSegment
from tests.browser import browser, browser_page, complaints
from tests.integration.processors.conftest import Bench, Clips

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HLS = Path(__file__).parents[3] / "web" / "static" / "vendor" / "hls.min.js"
_PAGE = "<!doctype html><link rel=icon href=data:,><script src=/hls.min.js></script><video id=v muted></video>"
_SPOKEN = TranscriptSegment(id=0, start_ms=1000, end_ms=2000, text="one <i>second</i>")

# The frames at which the caption was seen, by the video's own clock: from the first to the last.
_WATCH = """async (address) => {
  const video = document.getElementById("v");
  const hls = new Hls();
  const errors = [];
  hls.on(Hls.Events.ERROR, (_, { details, fatal }) => fatal && errors.push(details));
  hls.loadSource(address);
  hls.attachMedia(video);
  const seen = [];
  let ended = false;
  video.addEventListener("ended", () => (ended = true));
  video.playbackRate = 0.25;  // on a busy machine the browser looks at its cues up to a second late
  await video.play();
  while (!ended && !errors.length) {
    // offered, not shown by default: as a viewer chooses them in the player's menu
    for (const track of video.textTracks) if (track.mode !== "showing") track.mode = "showing";
    const cues = [...video.textTracks].flatMap((track) => [...(track.activeCues ?? [])]);
    if (cues.length) seen.push([video.currentTime, cues[0].text, cues[0].startTime, cues[0].endTime]);
    await new Promise((done) => setTimeout(done, 20));
  }
  return { seen, errors, tracks: [...video.textTracks].map(({ language, mode }) => ({ language, mode })) };
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def published(bench: Bench, clip: Clips, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a master playlist with captions, whose renditions stand in another step's folder."""
    source = clip("plain.mp4")
    ladder, ladder_folder = await bench.do("transcode", source)
    heard = tmp_path / "heard"
    heard.mkdir()
    model = SpeechModel(backend="test")
    write(heard, Transcript(language="en", duration_ms=3000, model=model, segments=(_SPOKEN,)), ReadingSpeed())

    async def fetch(key: str) -> Path:
        return heard / Path(key).name

    text = TranscribeOutputs(
        vtt="t/captions.vtt",
        srt="t/captions.srt",
        transcript="t/transcript.json",
        text="t/transcript.txt",
        segments=1,
        language="en",
        model=model,
    )
    inputs = {
        "probe": await bench.probe_json(source),
        "transcode": msgspec.to_builtins(ladder),
        "transcribe": msgspec.to_builtins(text),
    }
    work = bench.work(source, inputs, fetch=fetch)
    captions = await Captioner().process(work)
    assert isinstance(captions, CaptionsOutputs)
    assert captions.based_on == ladder.master
    app = web.Application()

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def script(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_HLS)

    app.router.add_get("/", page)
    app.router.add_get("/hls.min.js", script)
    # Both steps of this bench have the prefix "a": what is not in the one folder is in the other.
    folders = (work.output, ladder_folder)

    async def file(request: web.Request) -> web.FileResponse:
        name = request.match_info["name"]
        return web.FileResponse(next(folder / name for folder in folders if (folder / name).is_file()))

    app.router.add_get("/a/{name:.+}", file)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_a_caption_is_shown_when_it_was_said(browser_page: Page, published: str) -> None:
    await browser_page.goto(published)
    found = await browser_page.evaluate(_WATCH, "/a/hls/master.m3u8")
    assert found["errors"] == []
    assert [(track["language"], track["mode"]) for track in found["tracks"]] == [("en", "showing")]
    assert found["seen"], "no caption was ever shown"
    first, last = found["seen"][0], found["seen"][-1]
    assert abs(first[2] - 1.0) <= 0.05 and abs(first[3] - 2.0) <= 0.05
    assert abs(first[0] - 1.0) <= 0.25 and abs(last[0] - 2.0) <= 0.25
    assert "one" in first[1]
