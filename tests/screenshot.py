"""`make screenshot`: pictures of every view in docs/pictures, light, dark and on a phone, and docs/page.png.

The real page in a browser, over the server of the page's tests. The pictures are for people: look at each of them.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from tests.browser import chromium
from tests.conftest import eventually
from tests.documents import CHECKOUT
from tests.integration.web.conftest import make_stream
from tests.integration.web.fake_kinolog import TOKEN, FakeKinolog
from tests.pictured import RECORDING, RETRIED, draw, fill

PICTURE = CHECKOUT / "docs" / "page.png"
FOLDER = CHECKOUT / "docs" / "pictures"
#: Most bytes of the one picture, and of all others, that belong in a repository.
MAX_BYTES, MAX_FOLDER_BYTES = 300_000, 2_000_000
_WITHIN_MS = 60_000.0
#: A picture shows no more of a long view.
_TALLEST_PX = 1_700


class Look(NamedTuple):
    """How the page is looked at."""

    name: str
    scheme: Literal["light", "dark"]
    width_px: int
    height_px: int


LOOKS = (Look("light", "light", 1180, 760), Look("dark", "dark", 1180, 760), Look("phone", "light", 390, 760))
#: Name of a picture -> the view's route, and what it shows once it is complete.
VIEWS = {
    "overview": ("#/overview", ".queue-card"),
    "jobs": ("#/jobs", ".job"),
    "job": (f"#{RETRIED}", ".lane-error"),
    "asset": (f"#/asset/{RECORDING}", ".similar a"),
    "search": ("#/search?q=country", ".found a"),
    "executors": ("#/executors", "#view-executors td"),
    "queues": ("#/queues", "#view-queues td"),
    "cache": ("#/cache", "#view-cache td"),
    "dead-letters": ("#/dead-letters", "#view-dead-letters td"),
    "audit": ("#/audit", "#view-audit td"),
    "tokens": ("#/tokens", "#view-tokens td"),
    "upload": ("#/jobs", ".upload-row"),
}


async def shoot(page: Page, kinolog: FakeKinolog, name: str, look: Look, folder: Path) -> Path:
    """One picture of a view."""
    route, complete = VIEWS[name]
    await page.set_viewport_size({"width": look.width_px, "height": look.height_px})
    await page.emulate_media(color_scheme=look.scheme, reduced_motion="reduce")
    await page.evaluate("(route) => { location.hash = route; }", route)
    if name == "upload":
        await upload(page)
    await page.locator(complete).first.wait_for()
    await kinolog.progress("job_000007", "transcode", 62.4, job_progress=54, eta_s=30)
    for picture in await page.locator(":is(.poster img, img.poster):visible").all():
        await expect(picture).not_to_have_js_property("naturalWidth", 0, timeout=_WITHIN_MS)
    await page.wait_for_load_state("networkidle")
    await page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    path = folder / f"{name}-{look.name}.png"
    tall_px = min(_TALLEST_PX, await page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": look.width_px, "height": max(tall_px, look.height_px)}
    await page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
    await page.evaluate("document.querySelectorAll('[data-action=drop]').forEach((button) => button.click())")
    return path


async def upload(page: Page) -> None:
    """Begins an upload over a slow network, so that it is seen on its way."""
    devtools = await page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}
    await devtools.send("Network.emulateNetworkConditions", slow)
    files = [{"name": f"rushes-{n}.mp4", "mimeType": "video/mp4", "buffer": bytes(3_000_000)} for n in range(1, 4)]
    await page.get_by_label("Choose media files to upload").set_input_files(files)  # type: ignore[arg-type]
    sent = page.locator(".upload-row progress").first
    await eventually(lambda: sent.evaluate("(bar) => bar.value > 15"), _WITHIN_MS / 1000)


async def shoot_all(url: str, kinolog: FakeKinolog, folder: Path) -> list[Path]:
    """Every view in every look, each look in a browser without a past."""
    async with chromium() as (browser, _):
        taken = []
        for look in LOOKS:
            fill(kinolog)
            page = await browser.new_page()
            await page.goto(f"{url}#token={TOKEN}")
            await page.get_by_text("Live", exact=True).wait_for()
            taken += [await shoot(page, kinolog, name, look, folder) for name in VIEWS]
            await page.close()
        return taken


def keep(pictures: list[Path]) -> None:
    """The pictures as small files in docs."""
    FOLDER.mkdir(exist_ok=True)
    for picture in pictures:
        small = ["-c:v", "libwebp", "-quality", "75", "-compression_level", "6", str(FOLDER / f"{picture.stem}.webp")]
        subprocess.run(["ffmpeg", "-nostdin", "-y", "-v", "error", "-i", str(picture), *small], check=True, timeout=60)
    PICTURE.write_bytes(next(one for one in pictures if one.stem == "jobs-light").read_bytes())


async def main() -> int:
    """Serve, take pictures, and check their sizes."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        await asyncio.to_thread(make_stream, folder)
        await asyncio.to_thread(draw, folder)
        kinolog = FakeKinolog(folder)
        async with TestServer(kinolog.app()) as server:
            await asyncio.to_thread(keep, await shoot_all(str(server.make_url("/")), kinolog, folder))
            await kinolog.drop_sockets()
    size_bytes = sum(path.stat().st_size for path in FOLDER.iterdir())
    return 0 if PICTURE.stat().st_size <= MAX_BYTES and size_bytes <= MAX_FOLDER_BYTES else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
