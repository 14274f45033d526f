"""Finished one-step no-op jobs a second, submitted in bulk, and restarts of control: a part of `make bench`.

One control and one executor on the embedded broker, beside BullMQ, Celery and arq on Redis, on the same machine in the
same minutes. On all sides the clock runs from the first submission to the last job's end, the workers waiting before.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.commands import SubmitJob
from schemas.jobs import Input, StepSpec
from streams.broker.process import Broker
from streams.ids import new_id
from streams.kafka.admin import apply_topics
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings, load, to_environ
from streams.supervisor.child import kinolog_argv
from tests.bench.figures import Figure, cpu_seconds, percentile, spread
from tests.bench.peers_runner import Peers

JOBS = 20_000
#: Jobs in the table when control is restarted.
_KNOWN = 100_000
#: Until offsets are committed: what is not is replayed, and that is work, no restart.
_SETTLE_S = 4.0
#: Progress updates of a job in the second comparison, and what its ratio must be.
_PROGRESS, _BAR_WITH_PROGRESS = 10, 1.5
#: Events in one record of commands: what the outbox of a busy web process makes.
_GROUP = 256
#: Single jobs through BullMQ.
_TRIPS = 400
#: Facts about a no-op job: submitted, started, step completed, completed, asset ready.
_FACTS = 5
#: Between looks at how many there are.
_LOOK_S = 0.1
_COMPLETED = b"media.job.completed.v1"


class Measured(NamedTuple):
    """One run."""

    jobs_per_s: float
    #: CPU seconds of each process, by name.
    cpu_s: dict[str, float]


class Plane:
    """Broker, control and executor, as processes."""

    def __init__(self, folder: Path, *, executors: int = 1, **environ: str) -> None:
        self._folder = folder
        self._names = ("control", "executor", *(f"executor-{number}" for number in range(2, executors + 1)))
        base = {
            "KINOLOG_DATA_DIR": str(folder),
            "KINOLOG_KAFKA__PORT": "0",
            "KINOLOG_KAFKA__ANONYMOUS": "all",
            **environ,
        }
        self._broker = Broker(load(base))
        self._base = base
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.settings: Settings

    async def start(self) -> None:
        """Return when a first job has gone through."""
        await self._broker.start()
        await self._broker.wait_ready()
        self.settings = load({**self._base, "KINOLOG_KAFKA__BOOTSTRAP": self._broker.bootstrap})
        await apply_topics(self.settings, 60)
        for name in self._names:
            self._start(name)

    def _start(self, name: str) -> None:
        environ = {**os.environ, **to_environ(self.settings)}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                kinolog_argv(name.partition("-")[0]), env=environ, stderr=log, stdout=log
            )

    async def restart(self, name: str, number: int) -> None:
        """Send a signal, wait for the end, start again."""
        process = self._processes[name]
        process.send_signal(number)
        await asyncio.to_thread(process.wait)
        self._start(name)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of each process."""
        pids = {"broker": self._broker.pid} | {name: process.pid for name, process in self._processes.items()}
        return {name: cpu_seconds(pid) for name, pid in pids.items()}

    async def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            await asyncio.to_thread(process.wait)
        await self._broker.stop()


class Crowd:
    """Submits jobs and sees them end."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topics = settings, names(settings)
        self._producer: Any = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all")
        self._consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="latest")
        self._places = [TopicPartition(self._topics.events, n) for n in range(settings.partitions)]
        self._series, self._number = new_id("bench"), 0
        #: Assets whose jobs have not ended.
        self._waiting: set[bytes | None] = set()

    async def __aenter__(self) -> "Crowd":
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_end(*self._places)
        self._consumer.pause(*self._places)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    def records(self, jobs: int, progress: int) -> list[tuple[int, bytes]]:
        """Partition and value of each record: made before the clock runs, as web processes elsewhere would."""
        groups: dict[int, list[bytes]] = {}
        for _ in range(jobs):
            self._number += 1
            asset_id = f"asset_{self._series}_{self._number:06}"
            self._waiting.add(asset_id.encode())
            groups.setdefault(partition_of(asset_id, self._settings.partitions), []).append(
                _submission(asset_id, progress)
            )
        return [
            (partition, batch(events[n : n + _GROUP]))
            for partition, events in groups.items()
            for n in range(0, len(events), _GROUP)
        ]

    async def run(self, jobs: int, progress: int) -> float:
        """Seconds from the first submission to the last end, as the broker dates it.

        What was said is read when all of it has been: BullMQ's worker counts for itself, so nobody is to be watched by
        a third process that needs a fifth of the machine.
        """
        records = self.records(jobs, progress)
        expected = sum(await self._ends()) + _FACTS * jobs
        began = time.time()
        sending = asyncio.create_task(self._send(records))
        async with asyncio.timeout(120):
            while sum(await self._ends()) < expected:
                await asyncio.sleep(_LOOK_S)
            await sending
            return await self._last_end() - began

    async def _ends(self) -> list[int]:
        return list((await self._consumer.end_offsets(self._places)).values())

    async def _send(self, records: list[tuple[int, bytes]]) -> None:
        for partition, value in records:
            await self._producer.send(self._topics.commands, value, partition=partition, headers=BATCH_HEADERS)

    async def _last_end(self) -> float:
        """When the last of the jobs completed, seconds since the epoch. Reads until all of them have."""
        last_ms = 0
        self._consumer.resume(*self._places)
        while self._waiting:
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if (asset := _completed(record.headers)) in self._waiting:
                        self._waiting.remove(asset)
                        last_ms = max(last_ms, record.timestamp)
        self._consumer.pause(*self._places)
        return last_ms / 1000


def _completed(headers: tuple[tuple[str, bytes], ...]) -> bytes | None:
    """The asset whose job has completed, if that is what the fact says; after a restart facts are said again."""
    attributes = dict(headers)
    return attributes["ce_subject"] if attributes["ce_type"] == _COMPLETED else None


def _submission(asset_id: str, progress: int) -> bytes:
    job_id = asset_id.replace("asset", "job", 1)
    params: dict[str, Any] = {"progress_messages": progress} if progress else {}
    command = SubmitJob(
        job_id=job_id,
        asset_id=asset_id,
        pipeline="noop",
        steps=(StepSpec(name="noop", params=params),),
        input=Input(object="none"),
        submitted_at=time.time(),
    )
    return structured(command, event_id=f"{job_id}/submit", source="bench", subject=asset_id, correlation_id=job_id)


async def kinolog(plane: Plane, jobs: int, progress: int) -> Measured:
    """One run of ours."""
    async with Crowd(plane.settings) as crowd:
        await crowd.run(8, 0)
        before = plane.cpu_s()
        elapsed_s = await crowd.run(jobs, progress)
        after = plane.cpu_s()
    return Measured(jobs / elapsed_s, {name: round(after[name] - before[name], 2) for name in before})


@asynccontextmanager
async def _plane() -> AsyncIterator[Plane]:
    with tempfile.TemporaryDirectory() as folder:
        plane = Plane(Path(folder) / "data")
        await plane.start()
        try:
            yield plane
        finally:
            await plane.stop()


async def figures(runs: int) -> list[Figure]:
    """Ours and theirs in turn, `runs` times; then restarts."""
    with Peers() as peers:
        async with _plane() as plane:
            await kinolog(plane, 1000, 0)  # warm
            found = await _beside_bullmq(plane, peers, runs, 0, 1.0)
            found += await _beside_bullmq(plane, peers, runs, _PROGRESS, _BAR_WITH_PROGRESS)
        async with _plane() as plane:
            found += await _restarts(plane)
        forgetful = await asyncio.to_thread(peers.bullmq, JOBS, 0, durable=False)
        found.append(
            Figure(
                "BullMQ without a disk, finished no-op jobs/s",
                "For comparison: jobs are lost with the process.",
                f"{forgetful:,.0f}",
                f"{JOBS:,} jobs",
                "",
            )
        )
        trips_ms = await asyncio.to_thread(peers.bullmq_trips, _TRIPS)
        trip = f"p50 {percentile(trips_ms, 50):.2f} ms, p99 {percentile(trips_ms, 99):.2f} ms"
        meaning = "For comparison."
        found.append(Figure("BullMQ, added -> finished of one job", meaning, trip, spread(trips_ms, " ms"), ""))
        for name in ("celery", "arq"):
            told = await asyncio.to_thread(peers.python, name, JOBS // 4)
            size = f"{JOBS // 4:,} jobs"
            found.append(Figure(f"{name}, finished jobs/s", "For comparison.", f"{told:,.0f}", size, ""))
    return found


async def _beside_bullmq(plane: Plane, peers: Peers, runs: int, progress: int, target: float) -> list[Figure]:
    ours: list[float] = []
    theirs: list[float] = []
    jobs = JOBS if not progress else JOBS // 2
    for _ in range(runs):
        ours.append((await kinolog(plane, jobs, progress)).jobs_per_s)
        theirs.append(await asyncio.to_thread(peers.bullmq, jobs, progress))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    what = "finished no-op jobs/s" + (f", {progress} progress updates each" if progress else "")
    measured = f"{ratio:.2f} ({statistics.median(ours):,.0f} / {statistics.median(theirs):,.0f})"
    told = f"ours {spread(ours)}; theirs {spread(theirs)}"
    meaning = "How fast a backlog drains" + (", with progress on every page." if progress else ".")
    return [Figure(f"{what} / BullMQ on Redis (AOF everysec)", meaning, measured, told, f">= {target}", target / ratio)]


async def _restarts(plane: Plane) -> list[Figure]:
    """Seconds from the signal to the end of a job submitted at that moment, with many jobs in the table."""
    found = []
    async with Crowd(plane.settings) as crowd:
        await crowd.run(_KNOWN, 0)
        await asyncio.sleep(_SETTLE_S)
        for how, number, bar_s in (("SIGTERM", signal.SIGTERM, 10.0), ("SIGKILL", signal.SIGKILL, 20.0)):
            began = time.monotonic()
            await plane.restart("control", number)
            await crowd.run(1, 0)
            took_s = time.monotonic() - began
            what = f"{how} of control with {_KNOWN:,} jobs -> deciding again"
            meaning = {"SIGTERM": "Jobs wait so long for an upgrade.", "SIGKILL": "Jobs wait so long after a crash."}[
                how
            ]
            found.append(Figure(what, meaning, f"{took_s:.1f} s", "", f"<= {bar_s:.0f} s", took_s / bar_s))
    return found
