"""Figures of the cache: downloads beside curl's, and ids turned into addresses."""

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from aiohttp import web

from processors.fetch.fetcher import Fetcher
from processors.fetch.limits import FetchLimits
from tests.bench.figures import Figure, percentile, spread
from tests.e2e.system import System

_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
#: Ids in one request.
RESOLVED = 100
_SIZE_BYTES, _ROUNDS = 2_000_000_000, 300


def _file(folder: Path, size_bytes: int) -> Path:
    path = folder / "source.mp4"
    with path.open("wb") as file:
        file.write(_HEAD)
        file.truncate(size_bytes)
    return path


@asynccontextmanager
async def _served(path: Path) -> AsyncIterator[str]:
    """A file server in a process of its own."""
    code = "import sys; from tests.bench.cache import serve; serve(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield (await asyncio.to_thread(process.stdout.readline)).strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def serve(path: str) -> None:
    """Serve one file until ended; prints where."""

    async def whole(_request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    async def small(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=_HEAD * 100)

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/source.mp4", whole)
        app.router.add_get("/{name}.mp4", small)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print("http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


class Speeds(NamedTuple):
    """Bytes a second, download by download, in turn."""

    curl: list[float]
    ours: list[float]
    #: How much more memory this process had afterwards than after the first download.
    grown_bytes: int

    @property
    def ratio(self) -> float:
        """Of the best of each: what others did on the machine meanwhile made neither faster."""
        return max(self.ours) / max(self.curl)


async def throughput(size_bytes: int, rounds: int) -> Speeds:
    """How fast curl and the fetcher (which hashes too) bring a file over loopback.

    On a file system in memory where there is one: the disk is the same for both, and hides what differs.
    """
    curl: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory(prefix="kinolog-bench-", dir=_memory()) as name:
        folder = Path(name)
        path = await asyncio.to_thread(_file, folder, size_bytes)
        async with _served(path) as url:
            await _ours(url, folder / "warm", size_bytes)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(rounds):
                curl.append(await _curl(url, folder / "curl", size_bytes))
                ours.append(await _ours(url, folder / "ours", size_bytes))
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return Speeds(curl, ours, grown)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


async def _curl(url: str, path: Path, size_bytes: int) -> float:
    began = time.monotonic()
    await asyncio.to_thread(subprocess.run, ["curl", "-s", "-o", str(path), f"{url}/source.mp4"], check=True)
    took_s = time.monotonic() - began
    path.unlink()
    return size_bytes / took_s


async def _ours(url: str, path: Path, size_bytes: int) -> float:
    fetcher = Fetcher(FetchLimits(allow_hosts=(url.removeprefix("http://"),)))
    began = time.monotonic()
    await fetcher.fetch(f"{url}/source.mp4", path)
    took_s = time.monotonic() - began
    path.unlink()
    return size_bytes / took_s


async def resolving(rounds: int) -> list[float]:
    """Milliseconds to resolve 100 cached ids, asked for over HTTP one after another."""
    with tempfile.TemporaryDirectory(prefix="kinolog-bench-") as name:
        folder = Path(name)
        path = await asyncio.to_thread(_file, folder, len(_HEAD))
        async with _served(path) as url:
            allowed = {"KINOLOG_DOWNLOAD__ALLOW_HOSTS": url.removeprefix("http://")}
            system = await asyncio.to_thread(System, folder / "data", **allowed)
            try:
                return await _resolve_times(system, url, rounds)
            finally:
                await asyncio.to_thread(system.stop)


async def _resolve_times(system: System, url: str, rounds: int) -> list[float]:
    async with system.client() as api:
        _, body = await api.post("/v1/cache-assets", {"urls": [f"{url}/{n}.mp4" for n in range(RESOLVED)]})
        ids = [item["id"] for item in body["data"]]
        while (await api.get("/v1/cache-assets/stats"))["assets"].get("CACHED", 0) < RESOLVED:
            await asyncio.sleep(0.2)
        times_ms: list[float] = []
        for _ in range(rounds):
            began = time.monotonic()
            _, body = await api.post("/v1/cache-assets/resolve", {"ids": ids})
            times_ms.append((time.monotonic() - began) * 1000)
            assert {item["status"] for item in body["data"]} == {"CACHED"}
        return times_ms


async def figures(runs: int) -> list[Figure]:
    """All of them. `runs` of the download."""
    speeds = await asyncio.to_thread(_as_an_executor, runs)
    times_ms = await resolving(_ROUNDS)
    ratios = [ours / curl for curl, ours in zip(speeds.curl, speeds.ours, strict=True)]
    p50, p99 = percentile(times_ms, 50), percentile(times_ms, 99)
    fast = f"{speeds.ratio:.2f} ({max(speeds.ours) / 1e6:.0f} MB/s; {speeds.grown_bytes / 1e6:.1f} MB more memory)"
    return [
        Figure(
            "download of 2 GB / curl, best of each",
            "How much of the line's speed a download gets.",
            fast,
            spread(ratios),
            ">= 0.8",
            0.8 / speeds.ratio,
        ),
        Figure(
            f"resolve of {RESOLVED} cached ids",
            "What a page waits for the URLs of its media.",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            spread(times_ms, " ms"),
            "p99 <= 20 ms",
            p99 / 20,
        ),
    ]


def _as_an_executor(runs: int) -> Speeds:
    """Downloads on the loop that executors have."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(throughput(_SIZE_BYTES, runs))
