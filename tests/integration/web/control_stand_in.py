"""A fake of control: commands in, rows and watermarks out, by the real reducer, without Faust."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import replace

from schemas.base import ErrorRecord, Message
from schemas.commands import DeleteAsset, DeleteJob, PauseQueue, ResumeQueue, SubmitJob
from schemas.facts import JobFact
from schemas.jobs import Asset, DeletedJob, Job
from schemas.processes import ControlReported
from schemas.step_events import StepProgressed
from streams.kafka.envelope import Entry, batch, binary, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from tables.assets import fold_asset, forget_job
from tables.effects import event_id
from tables.queues import advance_queue, queue_key
from tables.reducer import State, advance
from tables.refused_jobs import refused_job
from tables.rows import QUEUE_PREFIX, deleted_key, encode_row, watermark_row
from tests.conftest import eventually


class ControlStandIn:
    """Applies the commands on `media.commands` while it is used as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = names(settings)
        self.jobs: dict[str, Job] = {}
        self.deleted: dict[str, DeletedJob] = {}
        self.assets: dict[str, Asset] = {}
        #: Set, it refuses every new submission with it, as control does that knows better than web.
        self.refusal: ErrorRecord | None = None
        #: Whether it says once a second that it decides.
        self.reports = True
        #: Cleared, it takes no command.
        self.takes = asyncio.Event()
        self.takes.set()

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap, group_id=None, fetch_max_wait_ms=50
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=self._settings.bootstrap)
        await self._consumer.start()
        await self._producer.start()
        parts = [TopicPartition(self._topics.commands, n) for n in range(self._settings.partitions)]
        self._consumer.assign(parts)
        await self._consumer.seek_to_end(*parts)
        await asyncio.gather(*(self._consumer.position(part) for part in parts))
        self._tasks = [asyncio.create_task(work) for work in (self._run(), self._report())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()
        await self._producer.stop()

    async def _run(self) -> None:
        async for found in self._consumer:
            await self.takes.wait()
            for entry in read(found.value, found.headers):
                if isinstance(entry, Entry):
                    await self._take(entry.message)
            await self._vouch(found.partition, {self._topics.commands: found.offset})

    async def _report(self) -> None:
        while True:
            if self.reports:
                report = ControlReported(control="stand-in", partitions=tuple(range(self._settings.partitions)))
                event = structured(report, event_id="r", source="test", subject="stand-in")
                await self._producer.send_and_wait(self._topics.progress, batch([event]), partition=0)
            await asyncio.sleep(1.0)

    async def _take(self, message: Message) -> None:
        if isinstance(message, PauseQueue | ResumeQueue):
            queue, _ = advance_queue(None, message, time.time())
            partition = partition_of(queue_key(queue.step), self._settings.partitions)
            await self._write(self._topics.jobs_changelog, partition, QUEUE_PREFIX + queue.step, encode_row(queue))
            return
        if isinstance(message, DeleteAsset):
            for job_id in list(self.assets[message.asset_id].jobs):
                await self._take(DeleteJob(job_id=job_id, asset_id=message.asset_id))
            return
        job_id = getattr(message, "job_id", "")
        before: State = self.jobs.get(job_id) or self.deleted.get(job_id)
        if isinstance(message, SubmitJob) and before is None and self.refusal is not None:
            await self._refuse(message, self.refusal)
            return
        after, effects = advance(before, message, time.time())
        await self.publish([effect for effect in effects if isinstance(effect, JobFact)])
        if isinstance(after, DeletedJob) and isinstance(before, Job) and isinstance(message, DeleteJob):
            await self._forget(before, artifacts=message.artifacts)
            self.deleted[after.id] = after
            partition = partition_of(after.asset_id, self._settings.partitions)
            await self._write(self._topics.jobs_changelog, partition, deleted_key(after.id), encode_row(after))
        elif isinstance(after, Job) and after is not before:
            await self.put(after)

    async def _refuse(self, message: SubmitJob, error: ErrorRecord) -> None:
        """Write a row of its own for the submission; it belongs to no asset."""
        job = refused_job(message, error, time.time())
        assert job is not None
        self.jobs[job.id] = job
        partition = partition_of(job.asset_id, self._settings.partitions)
        await self._write(self._topics.jobs_changelog, partition, job.id, encode_row(job))

    async def publish(self, facts: Sequence[Any]) -> None:
        """Write facts to `media.events`."""
        for fact in facts:
            ids = {"event_id": event_id(fact), "source": "test", "subject": fact.asset_id}
            value, headers = binary(fact, **ids, correlation_id=fact.job_id)
            partition = partition_of(fact.asset_id, self._settings.partitions)
            await self._producer.send_and_wait(self._topics.events, value, partition=partition, headers=headers)

    async def put_all(self, rows: Sequence[Job]) -> None:
        """Write rows in order, as fast as the broker takes them."""
        for job in rows:
            self.jobs[job.id] = job
            self.assets[job.asset_id] = asset = fold_asset(self.assets.get(job.asset_id), job)
            partition = partition_of(job.asset_id, self._settings.partitions)
            for topic, row in ((self._topics.jobs_changelog, job), (self._topics.assets_changelog, asset)):
                await self._producer.send(topic, encode_row(row), key=row.id.encode(), partition=partition)
        await self._producer.flush()

    async def _forget(self, job: Job, *, artifacts: bool) -> None:
        await self.delete(job.id)
        if job.refused:
            return
        left = forget_job(self.assets.pop(job.asset_id), job, (), artifacts=artifacts)
        if left is not None:
            self.assets[left.id] = left
        partition = partition_of(job.asset_id, self._settings.partitions)
        row = encode_row(left) if left is not None else None
        await self._write(self._topics.assets_changelog, partition, job.asset_id, row)

    async def put(self, job: Job) -> None:
        """Write the job's row, and its asset's."""
        partition = partition_of(job.asset_id, self._settings.partitions)
        self.jobs[job.id] = job
        self.assets[job.asset_id] = asset = fold_asset(self.assets.get(job.asset_id), job)
        await self._write(self._topics.jobs_changelog, partition, job.id, encode_row(job))
        await self._write(self._topics.assets_changelog, partition, asset.id, encode_row(asset))

    async def change(self, job_id: str, **fields: Any) -> Job:
        """Wait for the job, then write it with other fields."""
        await eventually(lambda: job_id in self.jobs)
        job = replace(self.jobs[job_id], updated_at=time.time(), **fields)
        await self.put(job)
        return job

    async def delete(self, job_id: str) -> None:
        """Write a tombstone."""
        job = self.jobs.pop(job_id)
        partition = partition_of(job.asset_id, self._settings.partitions)
        await self._write(self._topics.jobs_changelog, partition, job_id, None)

    async def bury(self, raw: bytes) -> None:
        """Write a dead letter."""
        await self._producer.send_and_wait(self._topics.dead_letters, raw, partition=0)

    async def say(self, progress: StepProgressed) -> None:
        """Write an executor's message to `media.progress`."""
        event = structured(progress, event_id="p", source="test", subject=progress.asset_id)
        partition = partition_of(progress.asset_id, self._settings.partitions)
        await self._producer.send_and_wait(self._topics.progress, batch([event]), partition=partition)

    async def _vouch(self, partition: int, at: dict[str, int]) -> None:
        key, row = watermark_row(partition, at)
        for topic in (self._topics.jobs_changelog, self._topics.assets_changelog):
            await self._write(topic, partition, key, row)

    async def _write(self, topic: str, partition: int, key: str, row: bytes | None) -> None:
        await self._producer.send_and_wait(topic, row, key=key.encode(), partition=partition)
