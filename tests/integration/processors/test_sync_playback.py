"""A film as a browser plays it with hls.js: flash and beep together, and on to its end."""

import statistics
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.browser import browser, browser_page, complaints
from tests.integration.processors.conftest import Bench

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

pytestmark = pytest.mark.asyncio(loop_scope="module")

_HLS = Path(__file__).parents[3] / "web" / "static" / "vendor" / "hls.min.js"
_PAGE = "<!doctype html><link rel=icon href=data:,><script src=/hls.min.js></script><video id=v></video>"

# A flash and a beep every second. In Matroska the sound's priming comes first: the picture begins between two frames.
# Its length is one frame more than a whole segment.
_EVERY_SECOND = "lt(mod(t+0.0005\\,1)\\,0.2)*between(t\\,0.5\\,3.5)"
_FILM = (
    f"-f lavfi -i color=black:s=160x90:r=25:d=4,drawbox=w=iw:h=ih:t=fill:c=white:enable={_EVERY_SECOND} "
    f"-f lavfi -i aevalsrc=0.5*sin(5000*t)*{_EVERY_SECOND}:s=48000:d=4 "
    "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -c:a aac"
)

# Posts the moment of the audio clock at which a beep began.
_LISTENER = """
let quiet = 0;
registerProcessor("listener", class extends AudioWorkletProcessor {
  process([[samples]]) {
    const at = samples ? samples.findIndex((sample) => Math.abs(sample) > 0.1) : -1;
    if (at >= 0 && quiet > 10000) this.port.postMessage((currentFrame + at) / sampleRate);
    quiet = at >= 0 ? 0 : quiet + 128;
    return true;
  }
});
"""

# `flashes`: times of frames, by the video's clock. `beeps`: by the audio clock. `clocks`: both, read at one moment.
_WATCH = """async (address) => {
  const video = document.getElementById("v");
  const audio = new AudioContext();
  await audio.audioWorklet.addModule("/listener.js");
  const listener = new AudioWorkletNode(audio, "listener");
  audio.createMediaElementSource(video).connect(listener).connect(audio.destination);
  const found = { flashes: [], beeps: [], clocks: [], errors: [], ended: false };
  listener.port.onmessage = ({ data }) => found.beeps.push(data);

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  let white = false;
  const look = (_, { mediaTime }) => {
    canvas.drawImage(video, 0, 0, 1, 1);
    const before = white;
    white = canvas.getImageData(0, 0, 1, 1).data[0] > 128;
    if (white && !before) found.flashes.push(mediaTime);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);

  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, { details }) => found.errors.push(details));
  hls.loadSource(address);
  hls.attachMedia(video);
  const over = new Promise((done) => {
    video.addEventListener("ended", () => done(true));
    setTimeout(() => done(false), 30_000);
  });
  await video.play();
  const clock = setInterval(() => found.clocks.push([audio.currentTime, video.currentTime]), 10);
  found.ended = await over;
  clearInterval(clock);
  return found;
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def published(bench: Bench, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a page beside a ladder."""
    film = tmp_path / "film.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *_FILM.split(" "), film], check=True, timeout=60)
    _, folder = await bench.do("transcode", film)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    async def listener(_request: web.Request) -> web.Response:
        return web.Response(text=_LISTENER, content_type="text/javascript")

    async def script(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_HLS)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/listener.js", listener)
    app.router.add_get("/hls.min.js", script)
    app.router.add_static("/a", folder)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_flash_and_beep_are_seen_and_heard_together(browser_page: Page, published: str) -> None:
    await browser_page.goto(published)
    found = await browser_page.evaluate(_WATCH, "/a/hls/master.m3u8")
    assert found["errors"] == []
    assert found["ended"], "the player waits for more at the end"
    assert len(found["beeps"]) == 3
    apart = [
        min((_heard_s(at_s, found["clocks"]) - seen_s for seen_s in found["flashes"]), key=abs)
        for at_s in found["beeps"]
    ]
    assert abs(statistics.median(apart)) <= 0.01


def _heard_s(beep_s: float, clocks: list[list[float]]) -> float:
    """The moment of a beep by the video's clock, which is read while sound plays on: the median of many readings."""
    near = [video_s - audio_s for audio_s, video_s in clocks if abs(audio_s - beep_s) < 0.3]
    return beep_s + statistics.median(near)
