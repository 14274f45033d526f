"""The page in a real Chromium over 100,000 jobs: `python -m tests.bench.page [JOBS] [LIVE]`; prints one JSON object.

5,000 of the jobs are active: each has progress once a second, and 50 a second change their state. The page has all
of it over the real routes of a replica with a real log; docs/page.md has the figures.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import uvloop
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from playwright.async_api import Page, expect

from schemas.jobs import Job, Lease
from schemas.step_events import StepProgressed
from streams.process.tasks import cancel_all
from streams.worker import patch_fetch_wait
from tests.bench.figures import cpu_seconds
from tests.bench.interface import JOBS, TOKEN, Log, population, quantiles, replica
from tests.bench.timelines import log_broker, publish
from tests.browser import chromium
from tests.e2e.system import command_lines
from web.services import Services

LIVE = 5_000
#: State changes per second, and slices of a second in which progress is sent.
_CHANGES, _SLICES = 50, 50
_ROWS = 2_000
#: How long each view is watched, and how many timelines are opened.
_WATCHED_S, _TIMELINES = 20.0, 100
#: What a person may choose on the page.
_FILTERS: tuple[dict[str, str], ...] = (
    {},
    *({"status": status} for status in ("waiting", "active", "completed", "failed", "waiting,active")),
    *({"q": text} for text in ("clip", "job_live0001", "no such words", "ärger")),
    *({"step": step} for step in ("transcode", "transcode:queued", "noop:active")),
    *({"owner": owner} for owner in ("owner-7", "nobody")),
    {"pipeline": "noop"},
    {"error_code": "corrupt-media"},
    {"status": "failed", "pipeline": "noop", "owner": "owner-7"},
)
_SORTS = ("created_at", "-updated_at", "updated_at")

# Durations of the page's own requests, by their URL, and forgets them.
_TOOK = """(part) => {
  const all = performance.getEntriesByType("resource");
  const found = all.filter(({ name }) => name.includes(part)).map(({ duration }) => duration);
  performance.clearResourceTimings();
  return found;
}"""


async def page(count: int = JOBS, live: int = LIVE) -> dict[str, Any]:
    """CPU and memory of the page while it is watched; durations of its filters and timelines in the browser."""
    patch_fetch_wait.install()  # as web does
    with tempfile.TemporaryDirectory() as folder:
        async with log_broker(Path(folder)) as settings:
            jobs = [*population(count - live), *_active(population(live))]
            await publish(settings, jobs)
            async with replica(folder, KINOLOG_KAFKA__BOOTSTRAP=settings.bootstrap) as (server, parts):
                log = Log(parts)
                for n in range(0, count, _ROWS):
                    await log.write(jobs[n : n + _ROWS])
                await parts.event_indexer.catch_up()
                moving = [
                    asyncio.create_task(work) for work in (parts.event_indexer.run(), _move(parts, log, jobs[-live:]))
                ]
                try:
                    return {"jobs": count, "live": live} | await _measured(server, jobs)
                finally:
                    await cancel_all(moving)


def _active(jobs: Sequence[Job]) -> list[Job]:
    found = []
    for number, job in enumerate(jobs):
        first, *rest = job.steps
        lease = Lease(id=f"L{number}", executor_id="e", accepted_at=time.time())
        steps = (replace(first, status="active", attempt=1, lease=lease), *rest)
        names = {"id": f"job_live{number:06}", "asset_id": f"asset_live{number:06}"}
        times = {"created_at": time.time() - number, "updated_at": time.time(), "started_at": time.time() - number}
        found.append(replace(job, **names, **times, status="active", steps=steps, finished_at=None, error=None))
    return found


async def _move(parts: Services, log: Log, jobs: list[Job]) -> None:
    """Progress of every job once a second, and state changes, until cancelled."""
    loop, changes = asyncio.get_running_loop(), random.Random(5)
    began = loop.time()
    for tick in range(10**9):
        await asyncio.sleep(max(0.0, began + tick / _SLICES - loop.time()))
        for job in jobs[tick % _SLICES :: _SLICES]:
            step = job.steps[0]
            assert step.lease is not None
            ids: dict[str, Any] = {
                "job_id": job.id,
                "asset_id": job.asset_id,
                "step": step.spec.name,
                "lease_id": step.lease.id,
            }
            moved = parts.progress.fold(
                StepProgressed(**ids, run=1, attempt=1, progress=min(0.01 + tick / 20_000, 1.0))
            )
            if moved is not None:
                parts.hub.publish_progress(moved)
        if tick % (_SLICES // _CHANGES) == 0:
            await log.write([replace(changes.choice(jobs), updated_at=time.time())])


async def _measured(server: TestServer, jobs: Sequence[Job]) -> dict[str, Any]:
    async with _opened(server) as (shown, profile):
        return {
            "list": await _watched(shown, profile, "#/jobs"),
            "active_list": await _watched(shown, profile, "#/jobs?status=active"),
            "overview": await _watched(shown, profile, "#/overview"),
            "filters": await _filters(shown),
            "timelines": await _timelines(shown, random.Random(1).sample(jobs, _TIMELINES)),
            "at_last": await _memory(shown, profile),
            "load": os.getloadavg()[0],
        }


@asynccontextmanager
async def _opened(server: TestServer) -> AsyncIterator[tuple[Page, str]]:
    async with chromium() as (browser, profile):
        shown = await browser.new_page(viewport={"width": 1180, "height": 860})
        await shown.goto(f"{server.make_url('/')}#token={TOKEN}")
        await shown.get_by_text("Live", exact=True).wait_for()
        await expect(shown.locator(".job").first).to_be_visible()
        yield shown, profile


async def _watched(shown: Page, profile: str, route: str) -> dict[str, Any]:
    """Share of one core that the page takes, and that the whole browser does; memory afterwards."""
    await shown.evaluate("(route) => { location.hash = route; }", route)
    await asyncio.sleep(3)
    before, began = _busy_s(profile), time.monotonic()
    await asyncio.sleep(_WATCHED_S)
    took_s, after = time.monotonic() - began, _busy_s(profile)
    shares = {f"{name}_cpu": round((after[name] - before[name]) / took_s, 2) for name in after}
    return shares | await _memory(shown, profile)


def _busy_s(profile: str) -> dict[str, float]:
    """Processor seconds of the page's own process and of all of the browser."""
    pids = {pid: command for pid, command in command_lines() if profile in command}
    used = {pid: cpu_seconds(pid) for pid in pids}
    return {"page": sum(s for pid, s in used.items() if _is_page(pids[pid])), "browser": sum(used.values())}


def _is_page(command: str) -> bool:
    return "--type=renderer" in command


async def _memory(shown: Page, profile: str) -> dict[str, float]:
    """Of the page's process: its share of all memory (PSS), and the heap of its script, MB."""
    devtools = await shown.context.new_cdp_session(shown)
    await devtools.send("HeapProfiler.collectGarbage")
    heap = await devtools.send("Runtime.getHeapUsage")
    pids = [pid for pid, command in command_lines() if profile in command and _is_page(command)]
    pss_kb = sum(int(line.split()[1]) for pid in pids for line in _rollup(pid) if line.startswith("Pss:"))
    return {"page_mb": round(pss_kb / 1024), "heap_mb": round(heap["usedSize"] / 1e6, 1)}


def _rollup(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()


async def _filters(shown: Page) -> dict[str, float]:
    """Each filter and order, as a person chooses it: the request as the browser has it."""
    took: list[float] = []
    for filters, sort in itertools.product(_FILTERS, _SORTS):
        route = f"#/jobs?{urlencode(filters | {'sort': sort})}"
        took += await _request_of(shown, route, "/v1/jobs?")
    return quantiles([ms / 1000 for ms in took])


async def _timelines(shown: Page, jobs: Sequence[Job]) -> dict[str, float]:
    took = [ms for job in jobs for ms in await _request_of(shown, f"#{job.id}", "/events")]
    return quantiles([ms / 1000 for ms in took])


async def _request_of(shown: Page, route: str, part: str) -> list[float]:
    async with shown.expect_response(lambda response: part in response.url) as asked:
        await shown.evaluate("(route) => { performance.clearResourceTimings(); location.hash = route; }", route)
    await (await asked.value).finished()
    found: list[float] = await shown.evaluate(_TOOK, part)
    return found


if __name__ == "__main__":
    print(json.dumps(uvloop.run(page(*map(int, sys.argv[1:]))), indent=1))
    sys.exit(0)
