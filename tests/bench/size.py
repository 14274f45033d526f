"""python -m tests.bench.size --jobs 1000000 --assets 100000: a log as months leave it, and control started on it.

Writes the rows of deleted jobs, ended jobs, finished assets and some active jobs onto the changelogs of an embedded
broker, then starts control: with an empty row cache, after SIGTERM and after SIGKILL. One line of JSON for each start.
With `--web` also web, and lists of what is there.
`--runs FILE --svg docs/size.svg` adds them to those of other sizes and draws all (`--jobs 0`: only that).
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
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.jobs import Asset, AssetJob, Input, Job, Lease, Step, StepSpec
from schemas.processes import ControlReported
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.kafka.envelope import Entry, read
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings, load, to_environ
from tables.rows import decode_deleted
from tests.bench.figures import Figure, cpu_seconds, peak_mb, rss_mb
from tests.bench.plot import plot
from tests.bench.size_web import measured_web

#: Deletions are spread over so many days: marks are kept for 31.
_DAYS = 30
_STEPS = ("probe", "transcode", "thumbnails")
_OUTPUTS = {
    step: {"files": [f"assets/%s/{step}/1-lease_018f3a5c2b77a1b2c3d4e5f6/file-{n}.bin" for n in range(3)]}
    for step in _STEPS
}
_READY_S = 900.0
#: How control is started, and then ended.
STARTS = (("empty cache", signal.SIGTERM), ("after SIGTERM", signal.SIGKILL), ("after SIGKILL", signal.SIGTERM))


class Row(NamedTuple):
    """A row and its partition."""

    is_asset: bool
    partition: int
    key: bytes
    value: bytes


def rows(jobs: int, assets: int, kept: int, active: int, partitions: int) -> Iterator[Row]:
    """Rows of deleted jobs, then of assets with their ended or active jobs."""
    encode, now = msgspec.json.Encoder().encode, time.time()
    mark = b'{"id":"%b","asset_id":"%b","pipeline":"video","run":1,"deleted_at":%.3f,"owner":"shop","body_hash":"%b"}'
    assert decode_deleted(mark % (b"job", b"asset", now, b"0")).owner == "shop", "of another version"
    for number in range(jobs - kept - active):
        deleted_id, asset_id = b"job_%024x" % number, f"asset_{number:024x}"
        deleted_at = now - _DAYS * 86_400 * (1 - number / jobs)
        row = mark % (deleted_id, asset_id.encode(), deleted_at, b"0" * 64)
        yield Row(False, partition_of(asset_id, partitions), b"!" + deleted_id, row)
    for number in range(assets):
        asset_id, job_id = f"asset_{jobs + number:024x}", f"job_{jobs + number:024x}"
        partition, status = partition_of(asset_id, partitions), "completed" if number >= active else "active"
        has_job = number < kept + active
        asset = Asset(
            id=asset_id,
            status="READY" if status == "completed" else "PROCESSING",
            input=Input(object=f"uploads/{asset_id}/film.mp4"),
            created_at=now,
            updated_at=now,
            owner="shop",
            filename="film.mp4",
            jobs={job_id: AssetJob(status=status, pipeline="video", created_at=now)} if has_job else {},  # type: ignore[arg-type]
            outputs={step: {"files": [name % asset_id for name in _OUTPUTS[step]["files"]]} for step in _STEPS},
            published_at=dict.fromkeys(_STEPS, now),
            kept=not has_job,
        )
        yield Row(True, partition, asset_id.encode(), encode(asset))
        if has_job:
            yield Row(False, partition, job_id.encode(), encode(_job(job_id, asset_id, status, now)))


def _job(job_id: str, asset_id: str, status: str, now: float) -> Job:
    is_done = status == "completed"
    lease = Lease(id="lease_018f3a5c2b77a1b2c3d4e5f6", executor_id="executor-1", accepted_at=now)
    steps = tuple(
        Step(
            spec=StepSpec(name=name),
            status="completed" if is_done else "waiting",
            attempt=int(is_done),
            lease=lease if is_done else None,
            outputs=_OUTPUTS[name] if is_done else None,
        )
        for name in _STEPS
    )
    return Job(
        id=job_id,
        asset_id=asset_id,
        pipeline="video",
        status=status,  # type: ignore[arg-type]
        steps=steps,
        input=Input(object=f"uploads/{asset_id}/film.mp4"),
        created_at=now,
        updated_at=now,
        owner="shop",
        finished_at=now if is_done else None,
    )


async def generate(settings: Settings, made: Iterator[Row]) -> None:
    """Write the rows onto the changelogs."""
    topics = names(settings)
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, acks="all", linger_ms=0, max_batch_size=MAX_BATCH_BYTES
    )
    await producer.start()
    batches: dict[tuple[str, int], Any] = {}
    deliveries: list[Any] = []
    for row in made:
        place = (topics.assets_changelog if row.is_asset else topics.jobs_changelog, row.partition)
        while True:
            builder = batches.get(place) or batches.setdefault(place, producer.create_batch())
            if builder.append(key=row.key, value=row.value, timestamp=None) is not None:
                break
            deliveries.append(await producer.send_batch(batches.pop(place), place[0], partition=place[1]))
        if len(deliveries) > 64:
            await asyncio.gather(*deliveries)
            deliveries.clear()
    for (topic, partition), builder in batches.items():
        deliveries.append(await producer.send_batch(builder, topic, partition=partition))
    await asyncio.gather(*deliveries)
    await producer.stop()


class Start(NamedTuple):
    """One start of control."""

    how: str
    #: Seconds from the start of the process to the report that all partitions are decided, and dispatched.
    deciding_s: float
    #: Resident memory then, its highest value so far, and after some flushes, MB.
    rss_mb: float
    peak_mb: float
    cpu_s: float
    #: Longest pause of the event loop, seconds.
    pause_s: float


async def started(settings: Settings, folder: Path, how: str) -> tuple[Start, subprocess.Popen[bytes]]:
    """Start control and wait until it decides."""
    beat = folder / "beat"
    beat.unlink(missing_ok=True)
    consumer: Any = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="latest")
    await consumer.start()
    part = TopicPartition(names(settings).progress, 0)
    consumer.assign([part])
    await consumer.seek_to_end(part)
    began = time.monotonic()
    with (folder / "control.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.beating", str(beat)],
            env={**os.environ, **to_environ(settings)},
            stderr=log,
            stdout=log,
        )
    try:
        async with asyncio.timeout(_READY_S):
            await _deciding(consumer, settings.partitions)
    finally:
        await consumer.stop()
    took_s = time.monotonic() - began
    await asyncio.sleep(3)
    pause_s = float(beat.read_text())
    return (
        Start(
            how,
            round(took_s, 2),
            round(rss_mb(process.pid)),
            round(peak_mb(process.pid)),
            cpu_seconds(process.pid),
            pause_s,
        ),
        process,
    )


async def _deciding(consumer: Any, partitions: int) -> None:
    async for record in consumer:
        for entry in read(record.value, record.headers):
            message = entry.message if isinstance(entry, Entry) else None
            if isinstance(message, ControlReported) and len(message.partitions) == partitions and message.dispatching:
                return


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Generate, then start three times. Returns what was found, one entry a start."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = {"KINOLOG_DATA_DIR": name, "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__ANONYMOUS": "all"}
        broker = Broker(load(base))
        await broker.start()
        await broker.wait_ready()
        settings = load({**base, "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap})
        try:
            await apply_topics(settings, 60)
            made = rows(arguments.jobs, arguments.assets, arguments.kept, arguments.active, settings.partitions)
            await generate(settings, made)
            size = {
                "jobs": arguments.jobs,
                "assets": arguments.assets,
                "log_mb": _size_mb(folder / "kafka", "**/*changelog*/*"),
            }
            for how, end in STARTS:
                start, process = await started(settings, folder, how)
                found.append(size | start._asdict() | {"cache_mb": _size_mb(folder / "control", "**/*")})
                print(json.dumps(found[-1]), flush=True)
                process.send_signal(end)
                await asyncio.to_thread(process.wait)
            if arguments.web:
                await _web(settings, folder)
        finally:
            await broker.stop()
            if arguments.log:
                Path(arguments.log).write_bytes((folder / "control.log").read_bytes())
    return found


async def _web(settings: Settings, folder: Path) -> None:
    """Web on the log, while control decides: one line of JSON for each start."""
    _, control = await started(settings, folder, "for web")
    try:
        for web in await measured_web(settings, folder):
            print(json.dumps(web._asdict()), flush=True)
    finally:
        control.terminate()
        await asyncio.to_thread(control.wait)


def _size_mb(folder: Path, pattern: str) -> int:
    """What files take on the disk: some of the broker's are allocated in advance."""
    return sum(path.stat().st_blocks for path in folder.glob(pattern) if path.is_file()) // 2048


def figures(found: list[dict[str, Any]]) -> list[Figure]:
    """Memory and takeovers, by size."""
    made = []
    for start in found:
        size = f"{start['jobs']:,} jobs, {start['assets']:,} assets, {start['how']}"
        memory, took_s = start["peak_mb"], start["deciding_s"]
        made.append(Figure(f"memory: {size}", "", f"{memory} MB", "", "<= 512 MB", memory / 512))
        made.append(Figure(f"takeover: {size}", "", f"{took_s} s", "", "<= 10 s", took_s / 10))
    return sorted(made, key=lambda figure: figure.what.partition(":")[0])


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=480_000)
    parser.add_argument("--assets", type=int, default=50_000)
    parser.add_argument("--kept", type=int, default=10_000, help="ended jobs whose rows are there")
    parser.add_argument("--active", type=int, default=2_000)
    parser.add_argument("--web", action="store_true", help="start web, too, and read lists")
    parser.add_argument("--log", help="file for control's log")
    parser.add_argument("--runs", type=Path, help="file to which what was found is appended")
    parser.add_argument("--svg", type=Path, help="picture of all that is in --runs")
    arguments = parser.parse_args()
    found = asyncio.run(measure(arguments)) if arguments.jobs else []
    if arguments.runs is not None:
        with arguments.runs.open("a") as runs:
            runs.writelines(json.dumps(start) + "\n" for start in found)
        found = [json.loads(line) for line in arguments.runs.read_text().splitlines()]
    if arguments.svg is not None:
        arguments.svg.write_text(plot(figures(found)))


if __name__ == "__main__":
    main()
