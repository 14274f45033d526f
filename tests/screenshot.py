"""`make screenshot`: writes docs/page.png, the real page in a browser, over the server of the page's tests."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiohttp.test_utils import TestServer
from playwright.async_api import Page, async_playwright, expect

from tests.browser import ARGUMENTS, CHROMIUM
from tests.documents import CHECKOUT
from tests.integration.web.fake_kinolog import TOKEN, FakeKinolog, Json, iso, job, ready_job, step

PICTURE = CHECKOUT / "docs" / "page.png"
#: Largest picture that belongs in a repository.
MAX_BYTES = 300_000
_WITHIN_MS = 60_000.0
_POSTER = ["-f", "lavfi", "-i", "mandelbrot=size=640x360:start_scale=0.2:maxiter=300", "-frames:v", "1"]


def steps(*states: tuple[str, str, float, float]) -> list[Json]:
    """Steps by name, status, progress and seconds that they took."""
    now = time.time()
    times = {name: {"started_at": iso(now - took_s), "finished_at": iso(now)} for name, _, _, took_s in states}
    return [
        step(name, status, progress, **(times[name] if status == "completed" else {}))
        for name, status, progress, _ in states
    ]


def jobs() -> list[Json]:
    """One of each kind, the newest first: waiting, active, completed, failed."""
    error = {"code": "unsupported-media", "message": "'minutes.mp4' is a text file, not media.", "retriable": False}
    active = steps(
        ("probe", "completed", 100, 0.4),
        ("transcode", "active", 62, 0),
        ("thumbnails", "completed", 100, 3.1),
        ("audio", "completed", 100, 2.2),
        ("transcribe", "active", 35, 0),
        ("captions", "waiting", 0, 0),
        ("embed", "waiting", 0, 0),
    )
    started = iso(time.time() - 48)
    return [
        job(4, filename="rehearsal.mp4", created_at=iso(time.time() - 20)),
        job(3, "active", active, filename="interview.mp4", progress=54, created_at=started, started_at=started),
        ready_job(2, filename="keynote.mp4", created_at=iso(time.time() - 200)),
        job(1, "failed", [step("probe", "failed", error=error)], filename="minutes.mp4", error=error),
    ]


async def photograph(page: Page, url: str, kinolog: FakeKinolog) -> None:
    """The page once it shows every job and the picture is loaded."""
    await page.goto(f"{url}#token={TOKEN}")
    await page.get_by_text("Live", exact=True).wait_for()
    await kinolog.progress("job_000003", "transcode", 62.4, job_progress=54, eta_s=30)
    rows = page.locator(".job")
    await expect(rows).to_have_count(len(kinolog.jobs), timeout=_WITHIN_MS)
    poster = rows.filter(has_text="keynote.mp4").locator(".poster img")
    await expect(poster).not_to_have_js_property("naturalWidth", 0, timeout=_WITHIN_MS)
    await page.screenshot(path=PICTURE)


async def main() -> int:
    """Serve, photograph, and check the size of the picture."""
    with tempfile.TemporaryDirectory() as folder:
        draw = ["ffmpeg", "-nostdin", "-v", "error", *_POSTER, str(Path(folder) / "poster.jpg")]
        await asyncio.to_thread(subprocess.run, draw, check=True, timeout=60)
        kinolog = FakeKinolog(Path(folder))
        kinolog.jobs = {job["id"]: job for job in jobs()}
        async with TestServer(kinolog.app()) as server, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            page = await browser.new_page(viewport={"width": 1180, "height": 1080}, reduced_motion="reduce")
            await photograph(page, str(server.make_url("/")), kinolog)
            await browser.close()
            await kinolog.drop_sockets()
    return 0 if PICTURE.stat().st_size <= MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
