"""What the cache costs: prints JSON. Ratios are of one run, so that the machine does not matter much.

python -m tests.bench.cache [--bytes 2000000000]
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from processors.fetch import Fetcher
from processors.fetch_limits import FetchLimits
from tests.e2e.system import System

_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
#: Ids in one request.
RESOLVED = 100


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


async def throughput(size_bytes: int, rounds: int = 5) -> dict[str, Any]:
    """Bytes a second of curl and of the fetcher (which hashes too), in turn, and how the memory grew.

    On a file system in memory where there is one: the disk is the same for both, and hides what differs.
    """
    speeds: dict[str, list[float]] = {"curl": [], "ours": []}
    with tempfile.TemporaryDirectory(prefix="kinolog-bench-", dir=_memory()) as name:
        folder = Path(name)
        path = await asyncio.to_thread(_file, folder, size_bytes)
        async with _served(path) as url:
            await _ours(url, folder / "warm", size_bytes)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(rounds):
                speeds["curl"].append(await _curl(url, folder / "curl", size_bytes))
                speeds["ours"].append(await _ours(url, folder / "ours", size_bytes))
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    ratios = [ours / curl for curl, ours in zip(speeds["curl"], speeds["ours"], strict=True)]
    return {
        # Of the best of each: what others did on the machine meanwhile made neither faster.
        "ratio": round(max(speeds["ours"]) / max(speeds["curl"]), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "curl_bytes_per_s": round(max(speeds["curl"])),
        "ours_bytes_per_s": round(max(speeds["ours"])),
        "size_bytes": size_bytes,
        "rss_growth_bytes": grown,
    }


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


async def resolving(rounds: int = 300) -> dict[str, Any]:
    """Milliseconds to resolve 100 cached ids, asked for over HTTP one after another."""
    with tempfile.TemporaryDirectory(prefix="kinolog-bench-") as name:
        folder = Path(name)
        path = await asyncio.to_thread(_file, folder, len(_HEAD))
        async with _served(path) as url:
            allowed = {"KINOLOG_DOWNLOAD__ALLOW_HOSTS": url.removeprefix("http://")}
            system = await asyncio.to_thread(System, folder / "data", **allowed)
            try:
                times_ms = await _resolve_times(system, url, rounds)
            finally:
                await asyncio.to_thread(system.stop)
    percentiles = statistics.quantiles(times_ms, n=100)
    return {"p50_ms": round(percentiles[49], 1), "p99_ms": round(percentiles[98], 1), "ids": RESOLVED, "n": rounds}


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


async def measure(size_bytes: int) -> dict[str, Any]:
    """Everything."""
    return {"download": await throughput(size_bytes), "resolve_100": await resolving()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as bench:  # as the executors
        print(json.dumps(bench.run(measure(parser.parse_args().bytes))))
