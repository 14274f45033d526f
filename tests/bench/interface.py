"""The interface under load: `python -m tests.bench.interface [lists] [live] [post]`; prints one JSON object.

lists: 100,000 jobs, pages of every kind, p99. live: 1,000 websockets that follow 50 active jobs, p99 of delivery, and
how many state changes were lost. post: submissions at 200/s while an executor encodes, p99 of the answer; the first 3 s
after the start stand apart.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from processors.storage.owner_mark import Installation, mark
from schemas.jobs import Job, Lease
from schemas.step_events import StepProgressed
from streams.settings import Settings, load
from tests.bench.whole import make_clip
from tests.e2e.system import System
from tests.unit.web.readmodel.crowd import ERRORS, submission
from tests.unit.web.readmodel.test_queries import FILTERS
from tests.unit.web.rows import record
from web.app import make_app
from web.services import SERVICES, Services

TOKEN = "bench"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}

JOBS = 100_000
_BATCH = 2_000
SORTS = ("created_at", "updated_at", "duration", "progress")
_LIVE_S = 12.0
_POST_S, _RATE = 15.0, 200
#: The same load before, not counted: a JVM that has just started interprets what it will compile.
_WARM_S = 3.0


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the longest, milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    found = {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in found.items()} | {"count": len(seconds)}


@asynccontextmanager
async def replica(folder: str, **environ: str) -> AsyncIterator[tuple[TestServer, Services]]:
    """A replica over a log of nobody's: what it reads is handed to it."""
    own = {
        "KINOLOG_DATA_DIR": folder,
        "KINOLOG_PARTITIONS": "8",
        "KINOLOG_KAFKA__PORT": "1",
        "KINOLOG_AUTH__TOKEN": TOKEN,
    }
    settings: Settings = load(own | environ)
    app = make_app(settings)
    app.cleanup_ctx.clear()  # nothing runs beside: there is no broker
    parts = app[SERVICES]
    await parts.model.rebuild("bench", settings.partitions)
    parts.position.restart("mark", [0] * settings.partitions, rebuilding=False)
    parts.position.caught_up.set()
    await mark(parts.store, Installation(cluster_id="none", topic_prefix="media."))
    server = TestServer(app)
    await server.start_server()
    yield server, parts
    await server.close()
    await asyncio.to_thread(parts.model.close)
    await asyncio.to_thread(parts.event_index.close)


class Log:
    """Hands rows to a replica as the changelog would."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts
        self._offsets = [0] * parts.settings.partitions

    async def write(self, jobs: Sequence[Job]) -> None:
        """One batch."""
        records = []
        for job in jobs:
            partition = sum(job.asset_id.encode()) % len(self._offsets)
            records.append(record(job, self._offsets[partition], partition))
            self._offsets[partition] += 1
        await self._parts.follower.take({"jobs": records, "assets": []})


def population(count: int) -> list[Job]:
    """Jobs as a service of some age has them: most completed, some failed, few in flight."""
    from tables.reducer import advance

    chance, began = random.Random(3), time.time() - 30 * 86_400
    jobs: list[Job] = []
    for number in range(count):
        at = began + number * 25.0
        job, _ = advance(None, submission(number, chance, at), at)
        assert isinstance(job, Job)
        status = chance.choices(["waiting", "active", "completed", "failed", "cancelled"], [1, 1, 85, 10, 3])[0]
        took_s = chance.expovariate(1 / 90)
        ended = {"started_at": at + 1, "finished_at": at + 1 + took_s} if status not in ("waiting", "active") else {}
        jobs.append(
            replace(
                job,
                status=status,
                updated_at=at + 1 + took_s,
                owner=f"owner-{chance.randrange(40)}",
                error=chance.choice(ERRORS) if status == "failed" else None,
                **ended,
            )
        )
    return jobs


async def lists() -> dict[str, Any]:
    """Pages of every filter and sort, near the start and deep inside, by HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        async with replica(folder) as (server, parts), aiohttp.ClientSession(headers=HEADERS) as session:
            log, jobs, began = Log(parts), population(JOBS), time.monotonic()
            for n in range(0, JOBS, _BATCH):
                await log.write(jobs[n : n + _BATCH])
            filled_s = time.monotonic() - began
            by_kind: dict[str, list[float]] = {}
            filters = [*FILTERS, {"q": "no such words"}, {"owner": "owner-7"}, {"status": "failed", "pipeline": "noop"}]
            for _ in range(3):
                for one, sort, sign in itertools.product(filters, SORTS, ("", "-")):
                    query = one | {"sort": sign + sort, "limit": "50"}
                    for seconds in await _pages(session, server, query, 3):
                        by_kind.setdefault("q" if "q" in one else "step" if "step" in one else "other", []).append(
                            seconds
                        )
            big = [(await _pages(session, server, {"limit": "500"}, 1))[0] for _ in range(20)]
            stats = [await _timed(session, server, "/v1/stats", {}) for _ in range(50)]
            everything = [seconds for found in by_kind.values() for seconds in found]
            return {
                "jobs": JOBS,
                "filled_s": round(filled_s, 1),
                "all_pages": quantiles(everything),
                **{f"pages_{kind}": quantiles(found) for kind, found in by_kind.items()},
                "page_of_500": quantiles(big),
                "stats": quantiles(stats),
            }


async def _pages(session: aiohttp.ClientSession, server: TestServer, query: dict[str, str], pages: int) -> list[float]:
    took: list[float] = []
    cursor: dict[str, str] = {}
    for _ in range(pages):
        began = time.perf_counter()
        async with session.get(server.make_url("/v1/jobs"), params=query | cursor) as answer:
            body = await answer.json()
            assert answer.status == 200, body
        took.append(time.perf_counter() - began)
        if body["next_cursor"] is None:
            break
        cursor = {"cursor": body["next_cursor"]}
    return took


async def _timed(session: aiohttp.ClientSession, server: TestServer, path: str, query: dict[str, str]) -> float:
    began = time.perf_counter()
    async with session.get(server.make_url(path), params=query) as answer:
        await answer.read()
        assert answer.status == 200
    return time.perf_counter() - began


class Listener(asyncio.Protocol):
    """A websocket client that only counts: parsing would cost more than the server it measures."""

    _SAID = re.compile(rb'"passthrough":"(\d+) ([\d.]+)"')

    def __init__(self, host: str) -> None:
        self._host = host
        self._rest = b""
        self.latencies: list[float] = []
        self.numbers: list[int] = []
        self.progress = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(
            f"GET /v1/live?subscribe=all HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.time()
        text = self._rest + data
        found = 0
        for said in self._SAID.finditer(text):
            self.numbers.append(int(said[1]))
            self.latencies.append(now - float(said[2]))
            found = said.end()
        self.progress += data.count(b'"type":"progress"')
        self._rest = text[max(found, len(text) - 60) :]


def _listen(address: tuple[str, int], count: int, ready: Any, answer: Any) -> None:
    """In a process of its own."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listeners = []
        for _ in range(count):
            _, listener = await loop.create_connection(lambda: Listener(f"{address[0]}:{address[1]}"), *address)
            listeners.append(listener)
        ready.set()
        while not answer.poll():
            await asyncio.sleep(0.2)
        expected = answer.recv()
        latencies = [s for listener in listeners for s in listener.latencies]
        lost = sum(len(expected - set(listener.numbers)) for listener in listeners)
        unordered = sum(listener.numbers != sorted(listener.numbers) for listener in listeners)
        progress = sum(listener.progress for listener in listeners)
        answer.send({"delivery": quantiles(latencies), "lost": lost, "unordered": unordered, "progress": progress})

    uvloop.run(run())


async def live(sockets: int = 1_000, active: int = 50) -> dict[str, Any]:
    """State changes of 50 jobs, each with progress once a second, to everybody."""
    with tempfile.TemporaryDirectory() as folder:
        async with replica(folder, KINOLOG_WEB__LIVE_PER_CALLER="0") as (server, parts):
            log, jobs = Log(parts), _active(active)
            await log.write(jobs)
            context = multiprocessing.get_context("spawn")
            ready, (ours, theirs) = context.Event(), context.Pipe()
            assert server.port is not None
            child = context.Process(target=_listen, args=((server.host, server.port), sockets, ready, theirs))
            child.start()
            await asyncio.to_thread(ready.wait, 60)
            while len(parts.hub) < sockets:
                await asyncio.sleep(0.1)
            began, cpu = time.monotonic(), time.process_time()
            sent = await _move(parts, log, jobs)
            await asyncio.sleep(1.5)
            busy = (time.process_time() - cpu) / (time.monotonic() - began)
            connected = len(parts.hub)
            ours.send(set(range(sent)))
            found: dict[str, Any] = await asyncio.to_thread(ours.recv)
            await asyncio.to_thread(child.join, 10)
            return {
                "sockets": sockets,
                "active": active,
                "changes": sent,
                "server_cpu": round(busy, 2),
                "still_connected": connected,
                **found,
            }


def _active(count: int) -> list[Job]:
    jobs = []
    for number in range(count):
        job = population(1)[0]
        lease = Lease(id=f"L{number}", executor_id="e", accepted_at=time.time())
        first, *rest = job.steps
        steps = (replace(first, status="active", attempt=1, lease=lease), *rest)
        names = {"id": f"job_live{number}", "asset_id": f"asset_live{number}"}
        jobs.append(replace(job, **names, status="active", steps=steps, finished_at=None))
    return jobs


async def _move(parts: Services, log: Log, jobs: list[Job]) -> int:
    """Progress of every job each second, spread over it, and five state changes a second; how many of those."""
    loop, sent = asyncio.get_running_loop(), 0
    began = loop.time()
    for tick in range(int(_LIVE_S * 50)):
        await asyncio.sleep(max(0.0, began + tick / 50 - loop.time()))
        job = jobs[tick % len(jobs)]
        step = job.steps[0]
        assert step.lease is not None
        moved = parts.progress.fold(
            StepProgressed(
                job_id=job.id,
                asset_id=job.asset_id,
                run=1,
                step=step.spec.name,
                attempt=1,
                lease_id=step.lease.id,
                progress=min(0.01 + tick / (_LIVE_S * 50), 1.0),
            )
        )
        if moved is not None:
            parts.hub.publish_progress(moved)
        if tick % 10 == 0:
            now = time.time()
            await log.write([replace(job, updated_at=now, passthrough=f"{sent} {now:.6f}")])
            sent += 1
    return sent


async def post() -> dict[str, Any]:
    """Submissions at a fixed rate, each measured from the moment at which it was due, and the first seconds apart."""
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "clip.mp4", 20)
        system = System(Path(folder) / "data")
        try:
            async with system.client() as api:
                busy = [await api.upload(clip) for _ in range(4)]
                await api.wait(busy[0]["job_id"], lambda job: job["status"] == "active", 60)
                first, failed = await _submit(api.session, _WARM_S)
                took, failed_later = await _submit(api.session, _POST_S)
                job = await api.job(busy[-1]["job_id"])
                return {
                    "rate_per_s": _RATE,
                    "answers": quantiles(took),
                    "first_seconds": quantiles(first),
                    "failed": failed + failed_later,
                    "encoding_all_the_time": job["status"] in ("waiting", "active"),
                    "load": os.getloadavg()[0],
                }
        finally:
            system.stop()


async def _submit(session: aiohttp.ClientSession, seconds: float) -> tuple[list[float], int]:
    loop = asyncio.get_running_loop()
    began, took, failures = loop.time(), list[float](), 0

    async def one(due: float) -> None:
        nonlocal failures
        await asyncio.sleep(max(0.0, due - loop.time()))
        body = {"input": {"object": "none"}, "pipeline": "noop"}
        async with session.post("/v1/assets", json=body) as answer:
            await answer.read()
            failures += answer.status != 202
        took.append(loop.time() - due)

    async with asyncio.TaskGroup() as group:
        for n in range(int(seconds * _RATE)):
            group.create_task(one(began + 0.1 + n / _RATE))
    return took, failures


def main() -> int:
    """Run what is named, or all."""
    parts = {"lists": lists, "live": live, "post": post}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []])
    chosen = parser.parse_args().parts or list(parts)
    print(json.dumps({name: uvloop.run(parts[name]()) for name in chosen}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
