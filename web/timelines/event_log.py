"""Reader of `media.events` on demand: the events of one job."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.facts import JobSubmitted
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from web.http.problems import unavailable
from web.timelines.event_index import JOB_HEADER, MAX_JOB_EVENTS, SKEW_S, EventIndex, IndexedEvents
from web.timelines.facts import Fact, facts_of

log = logging.getLogger("kinolog.web")

#: Longest read; a longer one is refused.
_READ_S = 30.0
#: Fetch size when reading single events, which are far apart. A larger batch is fetched whole.
_SEEK_BYTES = 64 * 1024
#: Events at most this many records apart are read in one range: that costs less than another fetch.
_NEAR = 200
#: From this many records behind the index on, it pays to look up where the job begins.
_LONG_TAIL = 1000


class JobHistory(NamedTuple):
    """Events of one job, in order, each once."""

    facts: list[Fact]
    #: Whether these are all of the job's events; if not, the newest of them: topic retention has removed the others, or
    #: they are too many.
    complete: bool


class EventLog:
    """Reader without a consumer group; it keeps nothing. How many read at a time is up to the callers."""

    def __init__(self, settings: Settings, index: EventIndex) -> None:
        self._settings, self._index = settings, index
        self._topic = names(settings).events

    async def of_job(self, asset_id: str, job_id: str, since: float, until: float | None = None) -> JobHistory:
        """The job's events up to a moment, or all of them. Raises Problem (503).

        `since`: creation time of the job. What is not indexed is read from the log, but not what is older.
        """
        part = TopicPartition(self._topic, partition_of(asset_id, self._settings.partitions))
        known = await self._known(part, job_id)
        async with self._reading([part], _SEEK_BYTES) as consumer:
            records = await _records(consumer, part, job_id, since - SKEW_S, known)
            if records is None:
                records = await _records(consumer, part, job_id, since - SKEW_S) or []
            facts = _each_once(records)
            complete = _starts_with_submission(facts) or not await _is_cut(consumer, part, facts, since - SKEW_S)
        return JobHistory(
            [fact for fact in facts if until is None or fact.at <= until],
            complete=complete and len(records) < MAX_JOB_EVENTS,
        )

    async def _known(self, part: TopicPartition, job_id: str) -> IndexedEvents | None:
        try:
            return await self._index.of_job(part.partition, job_id)
        except sqlite3.Error as error:  # reading works without it
            log.warning("event index cannot be read", extra={"error": str(error)})
            return None

    @asynccontextmanager
    async def _reading(self, parts: Sequence[TopicPartition], fetch_bytes: int = 1024**2) -> AsyncIterator[Any]:
        """A consumer with the partitions assigned and paused. Raises Problem (503) for errors within."""
        reader = open_reader(self._settings.cluster, parts, reset="none", max_partition_fetch_bytes=fetch_bytes)
        try:
            async with asyncio.timeout(_READ_S), reader as consumer:
                yield consumer
        except TimeoutError as error:
            raise unavailable("log-too-long", "the log is too long to be read for this request", 60) from error
        except (KafkaError, OSError) as error:
            raise unavailable("broker-unavailable", "the log cannot be reached: try again", 2) from error


def _each_once(records: Sequence[ConsumerRecord]) -> list[Fact]:
    seen: dict[str, Fact] = {}
    for record in records:
        for fact in facts_of(record):
            seen.setdefault(fact.id, fact)
    return list(seen.values())


def _starts_with_submission(facts: Sequence[Fact]) -> bool:
    message = facts[0].message if facts else None
    return isinstance(message, JobSubmitted) and message.run == 1


async def _is_cut(consumer: Any, part: TopicPartition, facts: Sequence[Fact], since: float) -> bool:
    """Whether the log begins behind the submission of the job. A new job's may not be on it yet."""
    begin, end = (await consumer.beginning_offsets([part]))[part], (await consumer.end_offsets([part]))[part]
    return begin > 0 and (bool(facts) or await _first_since(consumer, part, since, end) <= begin)


async def _records(
    consumer: Any, part: TopicPartition, job_id: str, since: float, known: IndexedEvents | None = None
) -> Sequence[ConsumerRecord] | None:
    """The job's newest records, in order; None where the index is of another log."""
    begin, end = (await consumer.beginning_offsets([part]))[part], (await consumer.end_offsets([part]))[part]
    indexed = [offset for offset in known.offsets if offset >= begin] if known else []
    if indexed and indexed[-1] >= end:
        return None
    tail = max(known.next_offset, begin) if known else begin
    if end - tail > _LONG_TAIL:
        tail = max(tail, await _first_since(consumer, part, since, end))
    records: deque[ConsumerRecord] = deque(maxlen=MAX_JOB_EVENTS)
    for start, stop in (*spans(indexed, _NEAR), (tail, end)):
        records += [r async for r in read_between(consumer, {part: start}, {part: stop}) if _is_of(r, job_id)]
    return records if _has_all(records, indexed) else None


async def _first_since(consumer: Any, part: TopicPartition, since: float, end: int) -> int:
    later = (await consumer.offsets_for_times({part: max(0, int(since * 1000))})).get(part)
    offset: int = later.offset if later else end
    return offset


def _has_all(records: Sequence[ConsumerRecord], offsets: Sequence[int]) -> bool:
    """Whether the records have these offsets, apart from those that newer records have pushed out."""
    oldest = records[0].offset if len(records) == MAX_JOB_EVENTS else 0
    return {offset for offset in offsets if offset >= oldest} <= {record.offset for record in records}


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


def _is_of(record: Any, job_id: str) -> bool:
    """Whether the record belongs to the job; decided by its header, without decoding."""
    return bool(dict(record.headers).get(JOB_HEADER) == job_id.encode())
