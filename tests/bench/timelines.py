"""Timelines and the past on a real log: `python -m tests.bench.timelines [JOBS]`; prints one JSON object.

Bulk work is the hard case: the five facts of a job lie between those of thousands of others. The replica has caught up.
"""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaProducer

from schemas.facts import AssetReady, JobCompleted, JobSubmitted, StepCompleted, StepStarted
from schemas.jobs import Job
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.batch_sender import MAX_BATCH_BYTES, BatchSender
from streams.kafka.envelope import binary, iso_time
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.process.tasks import cancel_all
from streams.settings import Settings, load
from streams.worker import patch_fetch_wait
from tables.effects import event_id
from tests.bench.interface import JOBS, TOKEN, Log, population, quantiles, replica

#: Jobs that go through control together.
_TOGETHER = 256
#: Rows that a replica takes in at once.
_ROWS = 2_000
_ASKED, _STATS = 500, 50
#: Requests of one viewer at once, beside another viewer's one.
_CROWD = 12


async def timelines(count: int = JOBS) -> dict[str, Any]:
    """p50 and p99 of a job's timeline, of a job and of all counts at a moment, by HTTP; seconds of the index; and a
    viewer's timeline beside twelve requests of another.
    """
    patch_fetch_wait.install()  # as web does
    with tempfile.TemporaryDirectory() as folder:
        async with log_broker(Path(folder)) as settings:
            jobs, at = population(count), time.time()
            await publish(settings, jobs)
            moments = [iso_time(at + (time.time() - at) * n / _STATS) for n in range(_STATS)]
            some = random.Random(1).sample(jobs, _ASKED)
            his, hers = some[0], next(job for job in some if job.owner != some[0].owner)
            environ = {"KINOLOG_KAFKA__BOOTSTRAP": settings.bootstrap, "KINOLOG_AUTH__TOKENS": _tokens([his, hers])}
            async with replica(folder, **environ) as (server, parts), aiohttp.ClientSession() as session:
                rows = Log(parts)
                for n in range(0, len(some), _ROWS):
                    await rows.write(some[n : n + _ROWS])
                began = time.monotonic()
                await parts.event_indexer.catch_up()
                indexed_s = time.monotonic() - began
                indexing = asyncio.create_task(parts.event_indexer.run())
                ask = partial(_ask, session, server)
                now = {"as_of": iso_time(time.time() - 1)}
                await ask(f"/v1/jobs/{some[0].id}")  # the first one waits for progress, which nobody reads here
                found = {
                    "jobs": count,
                    "indexed_s": round(indexed_s, 1),
                    "timeline": quantiles([await ask(f"/v1/jobs/{job.id}/events") for job in some]),
                    "as_of": quantiles([await ask(f"/v1/jobs/{job.id}", **now) for job in some]),
                    "stats_as_of": quantiles([await ask("/v1/stats", as_of=moment) for moment in moments]),
                    "stats_as_of_now": quantiles([await ask("/v1/stats", **now) for _ in moments]),
                    "beside_twelve": await _beside_twelve(ask, his, hers, moments),
                }
                await cancel_all([indexing])
                return found


def _tokens(jobs: Sequence[Job]) -> str:
    """A viewer's token for the owner of each job."""
    return json.dumps([{"token": f"viewer-{job.owner}", "owner": job.owner, "role": "viewer"} for job in jobs])


async def _beside_twelve(
    ask: Callable[..., Awaitable[float]], his: Job, hers: Job, moments: Sequence[str]
) -> dict[str, float]:
    """A viewer's timeline without and with twelve requests of another viewer, ms."""
    alone = [await ask(f"/v1/jobs/{hers.id}/events", token=f"viewer-{hers.owner}") for _ in range(_STATS)]
    beside: list[float] = []
    for _ in range(_STATS):
        crowd = [_of_crowd(ask, his, n, moments) for n in range(_CROWD)]
        *_, took = await asyncio.gather(*crowd, ask(f"/v1/jobs/{hers.id}/events", token=f"viewer-{hers.owner}"))
        beside.append(took)
    return {"alone_ms": quantiles(alone)["p50_ms"], "beside_ms": quantiles(beside)["p50_ms"]}


def _of_crowd(ask: Callable[..., Awaitable[float]], his: Job, n: int, moments: Sequence[str]) -> Awaitable[float]:
    token = f"viewer-{his.owner}"
    if n % 2:
        return ask(f"/v1/jobs/{his.id}/events", token=token)
    return ask("/v1/stats", token=token, as_of=moments[n])


@asynccontextmanager
async def log_broker(folder: Path) -> AsyncIterator[Settings]:
    environ = {"KINOLOG_DATA_DIR": str(folder / "log"), "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__ANONYMOUS": "all"}
    broker = Broker(load(environ))
    await broker.start()
    try:
        await broker.wait_ready()
        settings = load({**environ, "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap})
        await apply_topics(settings, 60)
        yield settings
    finally:
        await broker.stop()


async def publish(settings: Settings, jobs: Sequence[Job]) -> None:
    """Five facts of each job, as control publishes them in bulk."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap, max_batch_size=MAX_BATCH_BYTES) as producer:
        batch_sender = BatchSender(lambda: producer, _fail)
        for n in range(0, len(jobs), _TOGETHER):
            for facts in zip(*(_facts(job) for job in jobs[n : n + _TOGETHER]), strict=True):
                for fact in facts:
                    ids = {"event_id": event_id(fact), "source": "bench", "subject": fact.asset_id}
                    value, headers = binary(fact, **ids, correlation_id=fact.job_id)
                    partition = partition_of(fact.asset_id, settings.partitions)
                    batch_sender.put(names(settings).events, partition, fact.asset_id.encode(), value, headers)
                await batch_sender.send_all()
        await producer.flush()


def _facts(job: Job) -> list[Any]:
    ids: dict[str, Any] = {"job_id": job.id, "asset_id": job.asset_id, "owner": job.owner}
    about: dict[str, Any] = {**ids, "pipeline": job.pipeline, "run": 1}
    step: dict[str, Any] = {**about, "step": job.steps[0].spec.name, "attempt": 1}
    ready = AssetReady(run=1, **ids)
    return [
        JobSubmitted(**about, input=job.input),
        StepStarted(**step),
        StepCompleted(**step),
        JobCompleted(**about),
        ready,
    ]


def _fail(error: BaseException, _cause: object) -> None:
    raise error


async def _ask(
    session: aiohttp.ClientSession, server: TestServer, path: str, token: str = TOKEN, **query: str
) -> float:
    began, headers = time.perf_counter(), {"Authorization": f"Bearer {token}"}
    async with session.get(server.make_url(path), params=query, headers=headers) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(uvloop.run(timelines(*map(int, sys.argv[1:]))), indent=1))
    sys.exit(0)
