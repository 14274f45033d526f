"""Finished one-step no-op jobs a second, submitted in bulk: `python -m tests.bench.throughput`; prints JSON.

One control and one executor on the embedded broker against BullMQ on Redis, on the same machine in the same minute.
On both sides the clock runs from the first submission to the last job's end, the workers waiting before it starts.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.commands import SubmitJob
from schemas.jobs import Input, StepSpec
from streams.admin import apply_topics
from streams.broker import Broker
from streams.children import kinolog_argv
from streams.envelope import BATCH_HEADERS, batch, structured
from streams.ids import new_id
from streams.partition import partition_of
from streams.settings import Settings, load, to_environ
from streams.topics import names

JOBS = 20_000
#: Events in one record of commands: what the outbox of a busy web process makes.
_GROUP = 256
_COMPLETED = b"media.job.completed.v1"


class Measured(NamedTuple):
    """One run."""

    jobs_per_s: float
    #: CPU seconds of each process, by name.
    cpu_s: dict[str, float]


class Plane:
    """Broker, control and executor, as processes."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self._folder = folder
        base = {"KINOLOG_DATA_DIR": str(folder), "KINOLOG_KAFKA__PORT": "0", **environ}
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
        for name in ("control", "executor"):
            self._start(name)

    def _start(self, name: str) -> None:
        environ = {**os.environ, **to_environ(self.settings)}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(kinolog_argv(name), env=environ, stderr=log, stdout=log)

    async def restart(self, name: str, number: int) -> None:
        """Send a signal, wait for the end, start again."""
        process = self._processes[name]
        process.send_signal(number)
        await asyncio.to_thread(process.wait)
        self._start(name)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of each process."""
        from tests.bench.figures import cpu_seconds

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
        self._series, self._number = new_id("bench"), 0

    async def __aenter__(self) -> "Crowd":
        await self._producer.start()
        await self._consumer.start()
        places = [TopicPartition(self._topics.events, n) for n in range(self._settings.partitions)]
        self._consumer.assign(places)
        await self._consumer.seek_to_end(*places)
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
            groups.setdefault(partition_of(asset_id, self._settings.partitions), []).append(
                _submission(asset_id, progress)
            )
        return [
            (partition, batch(events[n : n + _GROUP]))
            for partition, events in groups.items()
            for n in range(0, len(events), _GROUP)
        ]

    async def run(self, jobs: int, progress: int) -> float:
        """Seconds from the first submission to the last end."""
        records = self.records(jobs, progress)
        began = time.monotonic()
        sending = asyncio.create_task(self._send(records))
        await self._ended(jobs)
        elapsed_s = time.monotonic() - began
        await sending
        return elapsed_s

    async def _send(self, records: list[tuple[int, bytes]]) -> None:
        for partition, value in records:
            await self._producer.send(self._topics.commands, value, partition=partition, headers=BATCH_HEADERS)

    async def _ended(self, jobs: int) -> None:
        left = jobs
        async with asyncio.timeout(60):
            while left > 0:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    left -= sum(_is_completion(record.headers) for record in records)


def _is_completion(headers: tuple[tuple[str, bytes], ...]) -> bool:
    return any(value == _COMPLETED for name, value in headers if name == "ce_type")


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


# The peer


@contextmanager
def redis_server(*options: str) -> Iterator[int]:
    """A Redis of our own on a free port; its port."""
    from streams.ports import free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            yield port
        finally:
            process.terminate()
            process.wait()


def bullmq(node_modules: Path, jobs: int, progress: int, *redis_options: str) -> Measured:
    """One run of BullMQ: a worker with 100 jobs at a time, 1,000 jobs added at once."""
    with redis_server(*redis_options) as port, _node(node_modules, "work", port, progress) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == "ready"
        with _node(node_modules, "submit", port, jobs) as submitter:
            ended_ms = _last_end(worker.stdout, jobs)
            assert submitter.stdout is not None
            began_ms = float(submitter.stdout.readline())
    return Measured(jobs / (ended_ms - began_ms) * 1000, {})


def _last_end(lines: IO[str], jobs: int) -> float:
    for line in lines:
        told = json.loads(line)
        if told["ended"] >= jobs:
            return float(told["at"])
    raise AssertionError("the worker ended too early")


@contextmanager
def _node(node_modules: Path, mode: str, port: int, count: int) -> Iterator["subprocess.Popen[str]"]:
    script = node_modules.parent / "bullmq.mjs"
    process = subprocess.Popen(
        ["node", str(script), mode, str(port), str(count)], stdout=subprocess.PIPE, text=True, cwd=node_modules.parent
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def peers() -> Iterator[Path]:
    """The peers' packages, installed beside a copy of their script; the folder node_modules."""
    here = Path(__file__).with_name("peers")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", "bullmq.mjs"):
            (Path(folder) / name).write_bytes((here / name).read_bytes())
        # Not `npm ci`: it wants the optional binaries of every other platform in the lock file.
        options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(["npm", "install", *options], cwd=folder, check=True)
        yield Path(folder) / "node_modules"


async def measure(jobs: int, runs: int, progress: int) -> dict[str, Any]:
    """Ours and theirs in turn."""
    found: dict[str, list[Any]] = {"kinolog": [], "cpu_s": [], "bullmq": []}
    with peers() as node_modules, tempfile.TemporaryDirectory() as folder:
        plane = Plane(Path(folder) / "data")
        await plane.start()
        try:
            for _ in range(runs):
                ours = await kinolog(plane, jobs, progress)
                found["kinolog"].append(round(ours.jobs_per_s))
                found["cpu_s"].append(ours.cpu_s)
                theirs = await asyncio.to_thread(
                    bullmq, node_modules, jobs, progress, "--appendonly", "yes", "--appendfsync", "everysec"
                )
                found["bullmq"].append(round(theirs.jobs_per_s))
        finally:
            await plane.stop()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--progress", type=int, default=0)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments.jobs, arguments.runs, arguments.progress))))
    sys.exit(0)
