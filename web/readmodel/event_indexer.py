"""media.events -> event index, for as long as the process lives: after jobs have changed, and at a low rate."""

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.facts import JobDeleted
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from web.readmodel import queries
from web.readmodel.event_index import JOB_HEADER, SKEW_S, EventIndex
from web.readmodel.position import Position
from web.readmodel.read_model import ReadModel

log = logging.getLogger("kinolog.web")

#: Interval between checks for changed jobs. Events that are not indexed yet are read from the log.
_EVERY_S = 5.0
#: Records that are written at once.
_BATCH = 2_000
#: Pause after each batch, as a multiple of the time that it took: all other work has priority.
_PAUSE_SHARE, _LONGEST_PAUSE_S = 3.0, 1.0
_TYPE_HEADER = "ce_type"
_DELETED = JobDeleted.TYPE.encode()


class PendingOffsets:
    """Offsets that have been read and not been written yet."""

    def __init__(self) -> None:
        self.offsets: dict[str, list[int]] = {}
        self.deleted: set[str] = set()
        self.next_offsets: dict[int, int] = {}
        self.records = 0

    def take(self, partition: int, offset: int, headers: Mapping[str, bytes | None]) -> None:
        """Add one record. Events of a deleted job are no longer indexed."""
        self.records += 1
        self.next_offsets[partition] = offset + 1
        job_id = (headers.get(JOB_HEADER) or b"").decode(errors="replace")
        if headers.get(_TYPE_HEADER) == _DELETED:
            self.deleted.add(job_id)
        elif job_id:
            self.offsets.setdefault(job_id, []).append(offset)


class EventIndexer:
    """Keeps the index up to date. Events older than the oldest job of the read model are left out."""

    def __init__(self, settings: Settings, model: ReadModel, position: Position, index: EventIndex) -> None:
        self._settings, self._model, self._position, self._index = settings, model, position, index
        self._topic = names(settings).events
        self._parts = [TopicPartition(self._topic, number) for number in range(settings.partitions)]

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._position.caught_up.wait()
        indexed: list[int] = []
        while True:
            await asyncio.sleep(_EVERY_S)
            offsets = [*self._position.offsets]
            if offsets != indexed and await self._try_to_catch_up():
                indexed = offsets

    async def _try_to_catch_up(self) -> bool:
        try:
            await self.catch_up()
        except (KafkaError, OSError, TimeoutError, sqlite3.Error) as error:
            log.warning("event index cannot be updated", extra={"error": repr(error)})
            return False
        return True

    async def catch_up(self) -> None:
        """Index everything up to the current end of the log. Raises KafkaError, sqlite3.Error."""
        client_id = f"kinolog-web-{self._settings.web.replica}"
        async with open_reader(self._settings.bootstrap, self._parts, reset="latest", client_id=client_id) as consumer:
            ends = await consumer.end_offsets(self._parts)
            await self._read(consumer, await self._starts(consumer, ends), ends)

    async def _starts(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Offsets to index from: the end of the index; for a new index, the creation of the oldest job."""
        name = f"{self._position.log}/{self._topic}/{self._settings.partitions}"
        known = await self._index.next_offsets(name)
        if not known or any(known[part.partition] > ends[part] for part in self._parts):
            known = await self._oldest(consumer, ends)
            await self._index.reset(name, known)
        # Events that the log no longer has need no index.
        begins = await consumer.beginning_offsets(self._parts)
        return {part: max(known[part.partition], begins[part]) for part in self._parts}

    async def _oldest(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[int, int]:
        created_at = await self._model.read(queries.oldest_creation)
        since_ms = max(0, int((min(created_at or math.inf, time.time()) - SKEW_S) * 1000))
        first = await consumer.offsets_for_times(dict.fromkeys(self._parts, since_ms))
        return {part.partition: first[part].offset if first.get(part) else ends[part] for part in self._parts}

    async def _read(
        self, consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        pending, started_at = PendingOffsets(), time.monotonic()
        async for record in read_between(consumer, starts, ends):
            pending.take(record.partition, record.offset, dict(record.headers))
            if pending.records >= _BATCH:
                await self._write(pending)
                await asyncio.sleep(min(_PAUSE_SHARE * (time.monotonic() - started_at), _LONGEST_PAUSE_S))
                pending, started_at = PendingOffsets(), time.monotonic()
        await self._write(pending)

    async def _write(self, pending: PendingOffsets) -> None:
        await self._index.add(pending.offsets, pending.deleted, pending.next_offsets)
