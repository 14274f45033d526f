"""Reader of `media.events` on demand: the events of one job, or of all jobs up to a moment."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.base import Message
from streams.kafka.envelope import Entry, read
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from web.http.problems import unavailable
from web.readmodel.event_index import JOB_HEADER, SKEW_S, EventIndex, IndexedEvents

log = logging.getLogger("kinolog.web")

#: Concurrent readers; others wait.
_READERS = 4
#: Longest read; a longer one is refused.
_READ_S = 30.0
#: Fetch size when reading single events, which are far apart. A larger batch is fetched whole.
_SEEK_BYTES = 64 * 1024
#: Events at most this many records apart are read in one range: that costs less than another fetch.
_NEAR = 200

Offsets = dict[TopicPartition, int]


class Fact(NamedTuple):
    """One event of a job, as recorded on the log."""

    #: Id of the event; a repeat has the same.
    id: str
    #: Time of the record, seconds since the epoch.
    at: float
    type: str
    message: Message


class EventLog:
    """Reader without a consumer group; it keeps nothing."""

    def __init__(self, settings: Settings, index: EventIndex) -> None:
        self._settings, self._index = settings, index
        self._topic = names(settings).events
        self._gate = asyncio.Semaphore(_READERS)

    async def of_job(self, asset_id: str, job_id: str, since: float, until: float | None = None) -> list[Fact]:
        """The job's events up to a moment, or all of them, in order, each once. Raises Problem (503).

        `since`: creation time of the job, used where its offsets are not indexed.
        """
        part = TopicPartition(self._topic, partition_of(asset_id, self._settings.partitions))
        known = await self._known(part, job_id)
        async with self._reading([part], _SEEK_BYTES) as consumer:
            records = None if known is None else await _at_indexed_offsets(consumer, part, known, job_id)
            if records is None:
                records = await _since(consumer, part, since - SKEW_S, job_id)
        seen: dict[str, Fact] = {}
        for record in records:
            for fact in _facts(record, until):
                seen.setdefault(fact.id, fact)
        return list(seen.values())

    async def until(self, moment: float) -> AsyncIterator[Fact]:
        """All events up to a moment, in order within a job, including repeats. Raises Problem (503)."""
        parts = [TopicPartition(self._topic, number) for number in range(self._settings.partitions)]
        async with self._reading(parts) as consumer:
            ends = await _ends(consumer, parts, moment)
            async for record in read_between(consumer, await consumer.beginning_offsets(parts), ends):
                for fact in _facts(record, moment):
                    yield fact

    async def _known(self, part: TopicPartition, job_id: str) -> IndexedEvents | None:
        try:
            return await self._index.of_job(part.partition, job_id)
        except sqlite3.Error as error:  # reading works without it
            log.warning("event index cannot be read", extra={"error": str(error)})
            return None

    @asynccontextmanager
    async def _reading(self, parts: Sequence[TopicPartition], fetch_bytes: int = 1024**2) -> AsyncIterator[Any]:
        """A consumer with the partitions assigned and paused. Raises Problem (503) for errors within."""
        reader = open_reader(self._settings.bootstrap, parts, reset="latest", max_partition_fetch_bytes=fetch_bytes)
        try:
            async with self._gate, asyncio.timeout(_READ_S), reader as consumer:
                yield consumer
        except TimeoutError as error:
            raise unavailable("log-too-long", "the log is too long to be read for this request", 60) from error
        except (KafkaError, OSError) as error:
            raise unavailable("broker-unavailable", "the log cannot be reached: try again", 2) from error


async def _at_indexed_offsets(
    consumer: Any, part: TopicPartition, known: IndexedEvents, job_id: str
) -> list[ConsumerRecord] | None:
    """The job's records at indexed offsets and after the end of the index; None where the index is of another log."""
    start_offset, end = (await consumer.beginning_offsets([part]))[part], (await consumer.end_offsets([part]))[part]
    offsets = [offset for offset in known.offsets if offset >= start_offset]
    if offsets and offsets[-1] >= end:
        return None
    records: list[ConsumerRecord] = []
    for start, stop in (*spans(offsets, _NEAR), (max(known.next_offset, start_offset), end)):
        records += [r async for r in read_between(consumer, {part: start}, {part: stop}) if _is_of(r, job_id)]
    return records if {*offsets} <= {record.offset for record in records} else None


def spans(offsets: Sequence[int], near: int) -> Iterator[tuple[int, int]]:
    """Ranges (end excluded) that cover ascending offsets; offsets at most `near` apart share a range."""
    start: int | None = None
    last = 0
    for offset in offsets:
        if start is not None and offset - last > near:
            yield start, last + 1
            start = None
        start, last = (offset if start is None else start), offset
    if start is not None:
        yield start, last + 1


async def _since(consumer: Any, part: TopicPartition, since: float, job_id: str) -> list[ConsumerRecord]:
    """The job's records from a moment on, found by a scan of its partition."""
    later = await consumer.offsets_for_times({part: max(0, int(since * 1000))})
    ends = await consumer.end_offsets([part])
    starts = {part: later[part].offset if later.get(part) else ends[part]}
    return [record async for record in read_between(consumer, starts, ends) if _is_of(record, job_id)]


async def _ends(consumer: Any, parts: Sequence[TopicPartition], until: float) -> Offsets:
    ends: Offsets = await consumer.end_offsets(parts)
    if until >= time.time():
        return ends
    later = await consumer.offsets_for_times(dict.fromkeys(parts, int(until * 1000) + 1))
    return {part: later[part].offset if later.get(part) else ends[part] for part in parts}


def _is_of(record: Any, job_id: str) -> bool:
    """Whether the record belongs to the job; decided by its header, without decoding."""
    return bool(dict(record.headers).get(JOB_HEADER) == job_id.encode())


def _facts(record: Any, until: float | None) -> list[Fact]:
    if until is not None and record.timestamp > until * 1000:
        return []
    at = record.timestamp / 1000
    entries = read(record.value, record.headers)
    return [Fact(entry.event.id, at, entry.event.type, entry.message) for entry in entries if isinstance(entry, Entry)]
