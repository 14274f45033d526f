"""What the cache costs: prints JSON. Ratios are of one run, so that the machine does not matter much.

python -m tests.bench.cache [--bytes 2000000000]
"""

import argparse
import asyncio
import json
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

from processors.fetch import Fetcher, FetchLimits
from tests.e2e.system import System

_HEAD = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
RESOLVED, ROUNDS = 100, 300


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


async def throughput(url: str, folder: Path, size_bytes: int) -> dict[str, Any]:
    """Bytes a second of curl and of the fetcher (which hashes too), and how the memory grew."""
    curl: list[float] = []
    ours: list[float] = []
    host = url.removeprefix("http://")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        began = time.monotonic()
        command = ["curl", "-s", "-o", str(folder / "curl"), f"{url}/source.mp4"]
        await asyncio.to_thread(subprocess.run, command, check=True)
        curl.append(size_bytes / (time.monotonic() - began))
        (folder / "curl").unlink()
        began = time.monotonic()
        await Fetcher(FetchLimits(allow_hosts=(host,))).fetch(f"{url}/source.mp4", folder / "ours")
        ours.append(size_bytes / (time.monotonic() - began))
        (folder / "ours").unlink()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    best = {"curl_bytes_per_s": round(max(curl)), "ours_bytes_per_s": round(max(ours))}
    return {**best, "ratio": round(max(ours) / max(curl), 2), "size_bytes": size_bytes, "rss_growth_bytes": grown}


async def resolving(url: str, folder: Path) -> dict[str, Any]:
    """Milliseconds to resolve 100 cached ids."""
    host = url.removeprefix("http://")
    system = System(folder / "data", KINOLOG_DOWNLOAD__ALLOW_HOSTS=f'["{host}"]')
    try:
        async with system.client() as api:
            urls = [f"{url}/{n}.mp4" for n in range(RESOLVED)]
            _, body = await api.post("/v1/cache-assets", {"urls": urls})
            ids = [item["id"] for item in body["data"]]
            while (await api.get("/v1/cache-assets/stats"))["assets"].get("CACHED", 0) < RESOLVED:
                await asyncio.sleep(0.2)
            times: list[float] = []
            for _ in range(ROUNDS):
                began = time.monotonic()
                _, body = await api.post("/v1/cache-assets/resolve", {"ids": ids})
                times.append((time.monotonic() - began) * 1000)
                assert {item["status"] for item in body["data"]} == {"CACHED"}
            percentiles = statistics.quantiles(times, n=100)
            return {"p50_ms": round(percentiles[49], 1), "p99_ms": round(percentiles[98], 1)}
    finally:
        system.stop()


async def measure(size_bytes: int) -> dict[str, Any]:
    """Everything."""
    with tempfile.TemporaryDirectory(prefix="kinolog-bench-") as name:
        folder = Path(name)
        path = await asyncio.to_thread(_file, folder, size_bytes)
        async with _served(path) as url:
            return {"download": await throughput(url, folder, size_bytes), "resolve_100": await resolving(url, folder)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as bench:  # as the executors
        print(json.dumps(bench.run(measure(parser.parse_args().bytes))))
