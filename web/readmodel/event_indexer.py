"""media.events -> event index, for as long as the process lives; whenever jobs have changed, and at a modest pace."""

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

#: Between looks at whether jobs have changed. What is not in the index yet is read from the log.
_EVERY_S = 5.0
#: Records that are written at once.
_AT_ONCE = 2_000
#: Pause after each of these, as a multiple of the time that they took: everything else goes before.
_PAUSE_SHARE, _LONGEST_PAUSE_S = 3.0, 1.0
_TYPE_HEADER = "ce_type"
_DELETED = JobDeleted.TYPE.encode()


class Found:
    """What has been read and not been written yet."""

    def __init__(self) -> None:
        self.offsets: dict[str, list[int]] = {}
        self.gone: set[str] = set()
        self.next_offsets: dict[int, int] = {}
        self.records = 0

    def take(self, partition: int, offset: int, headers: Mapping[str, bytes | None]) -> None:
        """One record. A deleted job has no timeline any more."""
        self.records += 1
        self.next_offsets[partition] = offset + 1
        job_id = (headers.get(JOB_HEADER) or b"").decode(errors="replace")
        if headers.get(_TYPE_HEADER) == _DELETED:
            self.gone.add(job_id)
        elif job_id:
            self.offsets.setdefault(job_id, []).append(offset)


class EventIndexer:
    """Brings the index up to the log's end. Facts of jobs that the read model does not know any more are left out."""

    def __init__(self, settings: Settings, model: ReadModel, position: Position, index: EventIndex) -> None:
        self._settings, self._model, self._position, self._index = settings, model, position, index
        self._topic = names(settings).events
        self._parts = [TopicPartition(self._topic, number) for number in range(settings.partitions)]

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._position.caught_up.wait()
        seen: list[int] = []
        while True:
            await asyncio.sleep(_EVERY_S)
            offsets = [*self._position.offsets]
            if offsets != seen and await self._try_to_catch_up():
                seen = offsets

    async def _try_to_catch_up(self) -> bool:
        try:
            await self.catch_up()
        except (KafkaError, OSError, TimeoutError, sqlite3.Error) as error:
            log.warning("the event index cannot be brought up to date now", extra={"error": repr(error)})
            return False
        return True

    async def catch_up(self) -> None:
        """Take in everything that is on the log now. Raises KafkaError, sqlite3.Error."""
        client_id = f"kinolog-web-{self._settings.web.replica}"
        async with open_reader(self._settings.bootstrap, self._parts, reset="latest", client_id=client_id) as consumer:
            ends = await consumer.end_offsets(self._parts)
            await self._read(consumer, await self._starts(consumer, ends), ends)

    async def _starts(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where the index ends; where it has to be begun, with the oldest job."""
        name = f"{self._position.log}/{self._topic}/{self._settings.partitions}"
        known = await self._index.next_offsets(name)
        if not known or any(known[part.partition] > ends[part] for part in self._parts):
            known = await self._oldest(consumer, ends)
            await self._index.begin(name, known)
        # What the log has dropped meanwhile needs no index.
        begins = await consumer.beginning_offsets(self._parts)
        return {part: max(known[part.partition], begins[part]) for part in self._parts}

    async def _oldest(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[int, int]:
        created_at = await self._model.read(queries.oldest_creation)
        since_ms = max(0, int((min(created_at or math.inf, time.time()) - SKEW_S) * 1000))
        found = await consumer.offsets_for_times(dict.fromkeys(self._parts, since_ms))
        return {part.partition: found[part].offset if found.get(part) else ends[part] for part in self._parts}

    async def _read(
        self, consumer: Any, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        found, began = Found(), time.monotonic()
        async for record in read_between(consumer, starts, ends):
            found.take(record.partition, record.offset, dict(record.headers))
            if found.records >= _AT_ONCE:
                await self._write(found)
                await asyncio.sleep(min(_PAUSE_SHARE * (time.monotonic() - began), _LONGEST_PAUSE_S))
                found, began = Found(), time.monotonic()
        await self._write(found)

    async def _write(self, found: Found) -> None:
        await self._index.add(found.offsets, found.gone, found.next_offsets)
