"""Timelines and the past with 100,000 jobs on a real log: `python -m tests.bench.timelines`; prints one JSON object.

Bulk work is the hard case: the facts of a job lie between those of thousands of others. The replica has caught up.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
from streams.settings import Settings, load
from streams.worker import patch_fetch_wait
from tables.effects import event_id
from tests.bench.interface import HEADERS, JOBS, Log, population, quantiles, replica

#: Jobs that go through control together.
_TOGETHER = 256
#: Rows that a replica takes in at once.
_ROWS = 2_000
_ASKED, _STATS = 500, 3


async def timelines() -> dict[str, Any]:
    """p50 and p99 of a job's timeline and of a job at a moment, by HTTP; seconds of the index and of all jobs' past."""
    patch_fetch_wait.install()  # as web does
    with tempfile.TemporaryDirectory() as folder:
        async with _log(Path(folder)) as settings:
            jobs, at = population(JOBS), time.time()
            await _publish(settings, jobs)
            environ = {"KINOLOG_KAFKA__BOOTSTRAP": settings.bootstrap}
            async with replica(folder, **environ) as (server, parts), aiohttp.ClientSession(headers=HEADERS) as session:
                rows = Log(parts)
                for n in range(0, JOBS, _ROWS):
                    await rows.write(jobs[n : n + _ROWS])
                began = time.monotonic()
                await parts.event_indexer.catch_up()
                indexed_s = time.monotonic() - began
                moment = iso_time((at + time.time()) / 2)
                some = random.Random(1).sample(jobs, _ASKED)
                now = {"as_of": iso_time(time.time() - 1)}
                return {
                    "jobs": JOBS,
                    "indexed_s": round(indexed_s, 1),
                    "timeline": quantiles([await _ask(session, server, f"/v1/jobs/{job.id}/events") for job in some]),
                    "as_of": quantiles([await _ask(session, server, f"/v1/jobs/{job.id}", **now) for job in some]),
                    "stats_as_of_s": round(
                        min([await _ask(session, server, "/v1/stats", as_of=moment) for _ in range(_STATS)]), 2
                    ),
                }


@asynccontextmanager
async def _log(folder: Path) -> AsyncIterator[Settings]:
    environ = {"KINOLOG_DATA_DIR": str(folder / "log"), "KINOLOG_KAFKA__PORT": "0"}
    broker = Broker(load(environ))
    await broker.start()
    try:
        await broker.wait_ready()
        settings = load({**environ, "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap})
        await apply_topics(settings, 60)
        yield settings
    finally:
        await broker.stop()


async def _publish(settings: Settings, jobs: Sequence[Job]) -> None:
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
    about: dict[str, Any] = {"job_id": job.id, "asset_id": job.asset_id, "pipeline": job.pipeline, "run": 1}
    step: dict[str, Any] = {**about, "step": job.steps[0].spec.name, "attempt": 1}
    ready = AssetReady(job_id=job.id, asset_id=job.asset_id, run=1)
    return [
        JobSubmitted(**about, input=job.input),
        StepStarted(**step),
        StepCompleted(**step),
        JobCompleted(**about),
        ready,
    ]


def _fail(error: BaseException, _cause: object) -> None:
    raise error


async def _ask(session: aiohttp.ClientSession, server: TestServer, path: str, **query: str) -> float:
    began = time.perf_counter()
    async with session.get(server.make_url(path), params=query) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(uvloop.run(timelines()), indent=1))
    sys.exit(0)
