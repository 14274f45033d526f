"""Fixtures of the web tests: a browser, a fake server that each test controls, and a stream to play."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.browser import browser, browser_page, complaints
from tests.integration.web.fake_kinolog import TOKEN, FakeKinolog

__all__ = ["browser", "browser_page", "complaints"]  # fixtures are found by their name in this module

OpenPage = Callable[[], Awaitable[Page]]

CLIP_S = 3
_FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y"]
_SOURCES = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={CLIP_S}", "-f", "lavfi", "-i", f"sine=d={CLIP_S}:r=48000"]
_ENCODE = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]
_HLS = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
_GROUPS = ["-map", "0:v", "-map", "1:a", "-var_stream_map", "a:0,agroup:sound v:0,agroup:sound"]
_STORYBOARD = """WEBVTT

00:00:00.000 --> 00:00:01.500
sprite-001.jpg#xywh=0,0,160,90

00:00:01.500 --> 00:00:03.000
sprite-001.jpg#xywh=160,0,160,90
"""


_CAPTIONS = """WEBVTT

00:00:00.200 --> 00:00:02.500
Ask not what your country can do for you
"""


@pytest.fixture(scope="session")
def made_stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real HLS stream (fMP4, audio in its own group), a poster and a storyboard, made by ffmpeg once."""
    return make_stream(tmp_path_factory.mktemp("stream"))


@pytest.fixture
def stream_folder(made_stream: Path, tmp_path: Path) -> Path:
    """The stream and its pictures, for this test alone: one that changed them for all made another fail at times."""
    return shutil.copytree(made_stream, tmp_path / "stream")


def make_stream(folder: Path) -> Path:
    """Fills the folder with a stream and its pictures."""
    names = ["-master_pl_name", "master.m3u8", "-hls_fmp4_init_filename", "init-%v.mp4", "track-%v.m3u8"]
    picture = ["-f", "lavfi", "-i", "testsrc2=s=320x180:d=1", "-frames:v", "1"]
    commands = [
        [*_FFMPEG, *_SOURCES, *_GROUPS, *_ENCODE, *_HLS, *names],
        [*_FFMPEG, *picture, "poster.jpg"],
        [*_FFMPEG, *picture, "-vf", "scale=160:90,tile=2x1:nb_frames=1", "sprite-001.jpg"],
    ]
    for command in commands:
        subprocess.run(command, cwd=folder, check=True, timeout=60)
    (folder / "storyboard.vtt").write_text(_STORYBOARD)
    (folder / "captions.vtt").write_text(_CAPTIONS)
    return folder


@pytest.fixture
def kinolog(stream_folder: Path) -> FakeKinolog:
    """The fake server of the page."""
    return FakeKinolog(stream_folder)


@pytest_asyncio.fixture(loop_scope="module")
async def origin(kinolog: FakeKinolog) -> AsyncIterator[str]:
    """The server's URL, without a trailing slash."""
    async with TestServer(kinolog.app()) as server:
        yield str(server.make_url("/")).rstrip("/")
        await kinolog.drop_sockets()


@pytest.fixture
def open_page(origin: str, browser_page: Page) -> OpenPage:
    """Opens the page by the link that `kinolog up` prints, and waits until it is live.

    The page comes after the server, and so goes before it: a player that still loads would complain otherwise.
    """

    async def open_link() -> Page:
        await browser_page.goto(f"{origin}/#token={TOKEN}")
        await browser_page.get_by_text("Live", exact=True).wait_for()
        return browser_page

    return open_link
