"""media.progress -> progress in memory -> live clients."""

import asyncio
import logging
import sqlite3
import time

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.base import Message
from schemas.step_events import StepCaptioned, StepProgressed
from streams.envelope import Entry, read
from streams.settings import Settings
from streams.topics import names
from web.hub import Hub
from web.progress import Progress
from web.read_model import ReadModel

log = logging.getLogger("kinolog.web")

#: Progress is told about once a second: what is older than this will be told again or is over.
_LOOK_BACK_S = 15.0
_AGAIN_S = 1.0
_SORT_S = 1.0
#: Messages that are taken in before the event loop may do something else.
_AT_ONCE = 256


class ProgressFollower:
    """Reads `media.progress` from a little before its end. What is lost on the way is told again a second later."""

    def __init__(self, settings: Settings, model: ReadModel, progress: Progress, hub: Hub) -> None:
        self._settings = settings
        self._model = model
        #: Progress (0-1) of jobs that have moved since lists were last told how to sort them.
        self._moved: dict[str, float] = {}
        self._sorted_at = 0.0
        self._progress = progress
        self._hub = hub
        topic = names(settings).progress
        self._parts = [TopicPartition(topic, partition) for partition in range(settings.partitions)]

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("progress cannot be followed", extra={"error": repr(error)})
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            client_id=f"kinolog-web-{self._settings.web.replica}",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        try:
            await consumer.start()
            consumer.assign(self._parts)
            await self._seek(consumer)
            while True:
                for records in (await consumer.getmany(timeout_ms=1_000, max_records=1_000)).values():
                    await self._fold(records)
                await self._sort_again()
        finally:
            await consumer.stop()

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        since_ms = int((time.time() - _LOOK_BACK_S) * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(self._parts, since_ms))
        ends = await consumer.end_offsets(self._parts)
        for part in self._parts:
            consumer.seek(part, found[part].offset if found.get(part) else ends[part])

    async def _sort_again(self) -> None:
        """Once a second, so that a list sorted by progress follows what runs."""
        now = asyncio.get_running_loop().time()
        if not self._moved or now - self._sorted_at < _SORT_S:
            return
        moved, self._moved, self._sorted_at = self._moved, {}, now
        try:
            await self._model.note_progress(moved)
        except sqlite3.Error as error:  # the row of the next change says it again; the follower sees to the damage
            log.warning("progress cannot be written", extra={"error": str(error)})

    async def _fold(self, records: list[ConsumerRecord]) -> None:
        entries = [entry for record in records for entry in read(record.value, record.headers)]
        for n, entry in enumerate(entries, 1):
            if isinstance(entry, Entry):
                self._take(entry.message)
            if n % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _take(self, message: Message) -> None:
        # What cannot be read is passed over: progress may be lost, and control dead-letters nothing of this topic.
        if isinstance(message, StepProgressed):
            moved = self._progress.fold(message)
            if moved is not None:
                self._hub.publish_progress(moved)
                self._moved[moved.job.id] = moved.job_progress
        elif isinstance(message, StepCaptioned):
            job = self._progress.speaker(message)
            if job is not None:
                self._hub.publish_caption(job, message)
