"""`media.events` read on demand: the facts of one job, or of all, between two moments."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.base import Message
from streams.envelope import Entry, read
from streams.partition import partition_of
from streams.reader import BOUNDED_MS, assign_paused, read_between
from streams.settings import Settings
from streams.topics import names
from web.problems import unavailable

#: Readers at a time; others wait their turn.
_READERS = 4
#: Longest read: what takes longer is refused, and goes on filling nobody's memory.
_READ_S = 30.0
#: By how much the clocks of a producer and of who wrote a time may differ, seconds.
_SKEW_S = 60.0


class Fact(NamedTuple):
    """One fact as it stands on the log."""

    #: Its event's id; a repeat has the same.
    id: str
    #: When it was said, seconds since the epoch.
    at: float
    type: str
    message: Message


class EventLog:
    """Reads without a group; nothing of it is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = names(settings).events
        self._gate = asyncio.Semaphore(_READERS)

    async def of_job(self, asset_id: str, job_id: str, since: float, until: float) -> list[Fact]:
        """The job's facts in order, each once. Raises Problem (503)."""
        part = TopicPartition(self._topic, partition_of(asset_id, self._settings.partitions))
        wanted = job_id.encode()
        seen: dict[str, Fact] = {}
        async for fact in self._read([part], since - _SKEW_S, until, wanted):
            seen.setdefault(fact.id, fact)
        return list(seen.values())

    async def until(self, moment: float) -> AsyncIterator[Fact]:
        """Every fact up to a moment, in order within a job; repeats included. Raises Problem (503)."""
        parts = [TopicPartition(self._topic, number) for number in range(self._settings.partitions)]
        async for fact in self._read(parts, 0.0, moment, None):
            yield fact

    async def _read(
        self, parts: Sequence[TopicPartition], since: float, until: float, job_id: bytes | None
    ) -> AsyncIterator[Fact]:
        try:
            async with self._gate, asyncio.timeout(_READ_S):
                async for fact in self._scan(parts, since, until, job_id):
                    yield fact
        except TimeoutError as error:
            raise unavailable("log-too-long", "there is too much on the log to read it now", 60) from error
        except (KafkaError, OSError) as error:
            raise unavailable("broker-unavailable", "the log cannot be reached at the moment", 2) from error

    async def _scan(
        self, parts: Sequence[TopicPartition], since: float, until: float, job_id: bytes | None
    ) -> AsyncIterator[Fact]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            fetch_max_wait_ms=BOUNDED_MS,
        )
        await consumer.start()
        try:
            assign_paused(consumer, parts)
            ends = await _ends(consumer, parts, until)
            starts = await _starts(consumer, parts, since)
            async for record in read_between(consumer, starts, ends):
                if record.timestamp <= until * 1000:
                    for fact in _facts(record, job_id):
                        yield fact
        finally:
            await consumer.stop()


async def _starts(
    consumer: AIOKafkaConsumer, parts: Sequence[TopicPartition], since: float
) -> dict[TopicPartition, int]:
    if since <= 0:
        found: dict[TopicPartition, int] = await consumer.beginning_offsets(parts)
        return found
    later = await consumer.offsets_for_times(dict.fromkeys(parts, int(since * 1000)))
    ends = await consumer.end_offsets(parts)
    return {part: later[part].offset if later.get(part) else ends[part] for part in parts}


async def _ends(consumer: AIOKafkaConsumer, parts: Sequence[TopicPartition], until: float) -> dict[TopicPartition, int]:
    ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
    if until >= time.time():
        return ends
    later = await consumer.offsets_for_times(dict.fromkeys(parts, int(until * 1000) + 1))
    return {part: later[part].offset if later.get(part) else ends[part] for part in parts}


def _facts(record: object, job_id: bytes | None) -> list[Fact]:
    headers = getattr(record, "headers", ())
    if job_id is not None and dict(headers).get("ce_correlationid") != job_id:
        return []  # most of what is there: not worth decoding
    at = getattr(record, "timestamp", 0) / 1000
    entries = read(getattr(record, "value", None), headers)
    return [Fact(entry.event.id, at, entry.event.type, entry.message) for entry in entries if isinstance(entry, Entry)]
