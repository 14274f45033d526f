"""How well work spreads over executors: a part of `make bench`.

Jobs sleep, so that two cores do for any number of executors. Each executor works on one at a time, and so do the
workers of BullMQ beside it. Times are the broker's, from the first submission to the last job's end.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from heapq import heapify, heapreplace
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.commands import SubmitJob
from schemas.jobs import Input, StepSpec
from streams.ids import new_id
from streams.kafka.envelope import BATCH_HEADERS, Entry, batch, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from tests.bench.figures import Figure, percentile
from tests.bench.peers_runner import Peers
from tests.bench.throughput import Plane

_EXECUTORS, _TIMES, _LENGTH_S = (2, 4, 8), (1, 2, 4, 10), 2.0
_BAR, _BAR_MIXED, _BAR_GAPS_MS = 1.1, 1.15, (15.0, 100.0)
#: Jobs of the first owner before the single one of another, and how long each takes.
_BEFORE, _TURN_S = 1000, 1.0
_LIMIT_S = 120.0


class Event(NamedTuple):
    """What an executor has reported, and when the broker had it, seconds since the epoch."""

    kind: str
    job_id: str
    lease_id: str
    at: float


class Jobs:
    """Submits jobs and reads when they began and ended."""

    def __init__(self, plane: Plane) -> None:
        self._settings, self._topics = plane.settings, names(plane.settings)
        self._producer: Any = AIOKafkaProducer(bootstrap_servers=self._settings.bootstrap, acks="all")
        self._consumer: Any = AIOKafkaConsumer(bootstrap_servers=self._settings.bootstrap, auto_offset_reset="latest")
        self.events: list[Event] = []

    async def __aenter__(self) -> "Jobs":
        await self._producer.start()
        await self._consumer.start()
        places = [TopicPartition(self._topics.step_events, n) for n in range(self._settings.partitions)]
        self._consumer.assign(places)
        await self._consumer.seek_to_end(*places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def submit(self, lengths_s: Sequence[float], owner: str | None = None) -> tuple[float, list[str]]:
        """Returns when the broker had the first one, and the jobs' ids."""
        series = new_id("bench")
        commands = [_nap(f"{series}_{n}", length_s, owner) for n, length_s in enumerate(lengths_s)]
        sent = [await self._send(command) for command in commands]
        places = [await delivery for delivery in sent]
        return min(place.timestamp for place in places) / 1000, [command.job_id for command in commands]

    async def _send(self, command: SubmitJob) -> Any:
        event = structured(command, event_id=f"{command.job_id}/s", source="bench", subject=command.asset_id)
        partition = partition_of(command.asset_id, self._settings.partitions)
        return await self._producer.send(
            self._topics.commands, batch([event]), partition=partition, headers=BATCH_HEADERS
        )

    async def wait(self, kind: str, job_ids: Sequence[str]) -> float:
        """When the last of these jobs had such an event."""
        waiting = set(job_ids)
        async with asyncio.timeout(_LIMIT_S):
            while waiting:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    self.events += [event for record in records for event in _events(record)]
                waiting -= {event.job_id for event in self.events if event.kind == kind}
        return max(event.at for event in self.events if event.kind == kind and event.job_id in job_ids)

    async def makespan_s(self, lengths_s: Sequence[float]) -> float:
        """From the first submission to the last end."""
        began, job_ids = await self.submit(lengths_s)
        return await self.wait("finished", job_ids) - began


def _nap(name: str, length_s: float, owner: str | None) -> SubmitJob:
    step = StepSpec(name="noop", params={"sleep_s": length_s})
    return SubmitJob(
        job_id=f"job_{name}",
        asset_id=f"asset_{name}",
        pipeline="noop",
        steps=(step,),
        input=Input(object="none"),
        submitted_at=time.time(),
        owner=owner,
    )


def _events(record: Any) -> list[Event]:
    messages: list[Any] = [e.message for e in read(record.value, record.headers) if isinstance(e, Entry)]
    found = [message for message in messages if hasattr(message, "lease_id")]
    return [Event(_kind(m), m.job_id, m.lease_id, record.timestamp / 1000) for m in found]


def _kind(message: Any) -> str:
    return str(message.TYPE).removeprefix("media.step.").removesuffix(".v1")


def greedy_s(executors: int, lengths_s: Sequence[float]) -> float:
    """Makespan of list scheduling: each job, in order, to the executor that is free first."""
    free_at = [0.0] * executors
    heapify(free_at)
    for length_s in lengths_s:
        heapreplace(free_at, free_at[0] + length_s)
    return max(free_at)


def gaps_ms(events: Sequence[Event], job_ids: Sequence[str], executors: int) -> list[float]:
    """From an attempt's end to the next beginning, while jobs wait, milliseconds.

    With all executors busy each end is followed by one beginning; both are in order, so the n-th belongs to the n-th.
    """
    own = set(job_ids)
    ends = sorted(event.at for event in events if event.kind == "finished" and event.job_id in own)
    begun = sorted(event.at for event in events if event.kind == "accepted" and event.job_id in own)
    return [1000 * (begin - end) for end, begin in zip(ends, begun[executors:], strict=False)]


@asynccontextmanager
async def _installed(executors: int, **environ: str) -> AsyncIterator[Jobs]:
    slots = {"KINOLOG_EXECUTOR__SLOTS": '{"noop": 1}', **environ}
    with tempfile.TemporaryDirectory() as folder:
        plane = Plane(Path(folder) / "data", executors=executors, **slots)
        await plane.start()
        try:
            async with Jobs(plane) as jobs:
                await _warm(jobs, executors)
                yield jobs
        finally:
            await plane.stop()


async def _warm(jobs: Jobs, executors: int) -> None:
    """Return when every executor works: so many jobs of a second then take little more than that."""
    async with asyncio.timeout(_LIMIT_S):
        while await jobs.makespan_s([1.0] * executors) > 1.5:
            pass


async def figures(_runs: int) -> list[Figure]:
    """Equal and mixed lengths, more executors than partitions, two owners; BullMQ beside it."""
    ratios, theirs, gaps = list[float](), list[float](), list[float]()
    with Peers() as peers:
        for executors in _EXECUTORS:
            async with _installed(executors) as jobs:
                for times in _TIMES:
                    lengths_s, ideal_s = [_LENGTH_S] * (executors * times), _LENGTH_S * times
                    ratios.append(await jobs.makespan_s(lengths_s) / ideal_s)
                    peer_s = await asyncio.to_thread(peers.bullmq_makespan_s, executors, lengths_s)
                    theirs.append(peer_s / ideal_s)
                last = [event.job_id for event in jobs.events if event.kind == "accepted"][-executors * _TIMES[-1] :]
                gaps += gaps_ms(jobs.events, last, executors)
                if executors == 4:
                    mixed = [await _mixed(jobs, peers, executors), await _alone(jobs, executors)]
        few = await _few_partitions()
    meaning = "N equal jobs on E executors take no longer than they must (E 2, 4, 8; N 1, 2, 4, 10 E)."
    return [_ratio("makespan / ideal", meaning, ratios, theirs, _BAR), *mixed, few, _gap_figure(gaps)]


def _ratio(what: str, meaning: str, ours: Sequence[float], theirs: Sequence[float], bar: float) -> Figure:
    worst, beside = max(ours), f"; BullMQ {min(theirs):.2f}-{max(theirs):.2f}" if theirs else ""
    told = f"{min(ours):.2f}-{worst:.2f}, median {statistics.median(ours):.2f}, n={len(ours)}{beside}"
    return Figure(what, meaning, f"{worst:.2f}", told, f"<= {bar}", worst / bar)


async def _mixed(jobs: Jobs, peers: Peers, executors: int) -> Figure:
    chance = random.Random(1)
    lengths_s = [round(chance.uniform(0.5, 4.0), 2) for _ in range(8 * executors)]
    best_s = greedy_s(executors, lengths_s)
    ours_s = await jobs.makespan_s(lengths_s)
    theirs_s = await asyncio.to_thread(peers.bullmq_makespan_s, executors, lengths_s)
    meaning = "Jobs of 0.5 to 4 s spread as well as by a list."
    what = "makespan / greedy list scheduling, mixed lengths"
    return _ratio(what, meaning, [ours_s / best_s], [theirs_s / best_s], _BAR_MIXED)


async def _few_partitions() -> Figure:
    async with _installed(6, KINOLOG_PARTITIONS="2") as jobs:
        ratio = await jobs.makespan_s([_LENGTH_S] * 24) / (4 * _LENGTH_S)
    meaning = "Executors need no partition of their own."
    return _ratio("makespan / ideal, 6 executors, 2 partitions", meaning, [ratio], [], _BAR)


async def _alone(jobs: Jobs, executors: int) -> Figure:
    """One job of a second owner. What the first one has left is not waited for: the plane ends."""
    _, many = await jobs.submit([_TURN_S] * _BEFORE, "anna")
    await jobs.wait("finished", many[: 2 * executors])
    began, [single] = await jobs.submit([_TURN_S], "bert")
    turns = (await jobs.wait("accepted", [single]) - began) / _TURN_S
    meaning = "Nobody waits behind another's backlog."
    what = f"one job behind {_BEFORE:,} of another owner begins after"
    return Figure(what, meaning, f"{turns:.2f} turns", f"{executors} executors", "<= 1", turns)


def _gap_figure(gaps: Sequence[float]) -> Figure:
    p50, p99 = percentile(gaps, 50), percentile(gaps, 99)
    measured, (bar50, bar99) = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", _BAR_GAPS_MS
    told, share = f"max {max(gaps):.0f} ms, n={len(gaps)}", max(p50 / bar50, p99 / bar99)
    meaning = "An executor that becomes free goes on at once."
    return Figure("slot free -> next attempt begins", meaning, measured, told, "p50 <= 15, p99 <= 100 ms", share)
