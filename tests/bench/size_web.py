"""`kinolog web` on a log as months leave it: its start, its memory, and lists of it."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np

from streams.process.ports import free_port
from streams.settings import Settings, to_environ
from tests.bench.figures import cpu_seconds, peak_mb, rss_mb
from tests.installations import adopt

_TOKEN = "size" * 8
_READY_S = 1800.0
#: Requests of each list.
_TIMES = 60
#: Lists as pages and tools ask for them; each is followed over some pages.
_LISTS = {
    "jobs": "/v1/jobs?limit=100",
    "active jobs": "/v1/jobs?status=active&limit=100",
    "jobs of a pipeline, oldest first": "/v1/jobs?pipeline=video&sort=created_at&limit=100",
    "jobs whose name has a text": "/v1/jobs?q=film&limit=100",
    "assets": "/v1/assets?limit=100",
    "counts": "/v1/stats",
}


class Web(NamedTuple):
    """A start of web, and lists of it."""

    how: str
    #: Seconds from the start of the process until it is ready.
    ready_s: float
    rss_mb: float
    peak_mb: float
    cpu_s: float
    #: Name of a list -> p50 and p99 of its pages, ms.
    lists: dict[str, tuple[float, float]]


async def measured_web(settings: Settings, folder: Path) -> list[Web]:
    """Web started without its read model, and once more after SIGTERM."""
    await adopt(settings)
    return [await _start(settings, folder, how) for how in ("no read model", "after SIGTERM")]


async def _start(settings: Settings, folder: Path, how: str) -> Web:
    port = free_port()
    own = {"KINOLOG_WEB__PORT": str(port), "KINOLOG_AUTH__TOKEN": _TOKEN}
    began = time.monotonic()
    with (folder / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "web"],
            env={**os.environ, **to_environ(settings), **own},
            stderr=log,
            stdout=log,
        )
    try:
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            await _ready(session, process)
            ready_s = round(time.monotonic() - began, 1)
            lists = {name: await _pages_ms(session, path) for name, path in _LISTS.items()}
        return Web(
            how, ready_s, round(rss_mb(process.pid)), round(peak_mb(process.pid)), cpu_seconds(process.pid), lists
        )
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def _ready(session: aiohttp.ClientSession, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(_READY_S):
        while process.poll() is None:
            try:
                async with session.get("/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise RuntimeError(f"web has ended with {process.returncode}")


async def _pages_ms(session: aiohttp.ClientSession, path: str) -> tuple[float, float]:
    waits: list[float] = []
    cursor = ""
    for _ in range(_TIMES):
        began = time.perf_counter()
        async with session.get(path + cursor) as answer:
            body: dict[str, Any] = await answer.json()
        waits.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
        following = body.get("next_cursor")
        cursor = f"&cursor={following}" if following else ""
    return round(float(np.quantile(waits, 0.5)), 1), round(float(np.quantile(waits, 0.99)), 1)
