"""`kinolog doctor --rebuild-check`: compares the jobs table with a new fold of media.commands and media.step-events.

It works on a running system: a partition is compared as it was at its last row with applied offsets, and its sources
are read up to these offsets.
"""

import asyncio
import json
import logging
import math
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.jobs import DeletedJob, Job
from schemas.step_events import AttemptHeartbeat, StepEvent
from streams.broker.process import running_cluster
from streams.cluster import Cluster
from streams.doctor.diagnosis import UNREACHABLE
from streams.kafka.envelope import Entry, read
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import assign_paused, open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from streams.supervisor import run_dir
from tables.rebuild_check import Comparison, LogMessage, PartitionLog, compare
from tables.rows import split_rows

#: Messages that can change a job's row; a heartbeat never does.
_CHANGING = (SubmitJob, CancelJob, RetryJob, DeleteJob, DeleteAsset, StepEvent)


class Source(NamedTuple):
    """The messages of one partition of a source topic."""

    messages: list[LogMessage]
    #: Timestamp of the first record if earlier ones were deleted; 0 otherwise.
    complete_from: float


def run(settings: Settings, *, as_json: bool) -> int:
    """Check and print the result. Returns the exit code: 0 (match), 1 (difference), 3 (broker unreachable)."""
    logging.disable()  # errors are printed below
    cluster = _running_cluster(settings)
    try:
        results = asyncio.run(check(settings.with_cluster(cluster)))
    except (KafkaError, OSError) as error:
        sys.stderr.write(f"kinolog: the broker at {cluster.bootstrap} does not respond: {error}\n")
        return UNREACHABLE
    for line in _as_json(results) if as_json else _as_text(results):
        sys.stdout.write(line + "\n")
    return int(any(partition.differing for partition in results))


def _running_cluster(settings: Settings) -> Cluster:
    """The configured cluster, or that of a running `kinolog up` with this data directory."""
    if settings.kafka.bootstrap is None and run_dir.is_up(settings):
        return running_cluster(settings.data_path / "kafka")
    return settings.cluster


def _as_json(results: Sequence[Comparison]) -> Iterator[str]:
    for number, comparison in enumerate(results):
        yield json.dumps({"partition": number, **comparison._asdict()})


def _as_text(results: Sequence[Comparison]) -> Iterator[str]:
    for number, comparison in enumerate(results):
        verdict = "differs from the log" if comparison.differing else "matches the log"
        sums = f"sha256 {comparison.log_checksum[:12]} by the log, {comparison.table_checksum[:12]} in the table"
        yield f"partition {number} {verdict}: {comparison.jobs} jobs, {sums}"
        if comparison.unchecked:
            yield f"  {comparison.unchecked} jobs were not checked: the log does not reach back to their submission"
        yield from (f"  {sentence}" for sentence in comparison.differing)


async def check(settings: Settings) -> list[Comparison]:
    """Compare every partition. Raises KafkaError."""
    async with open_reader(settings.cluster, reset="earliest") as reader:
        return [await _compare(settings, reader, number) for number in range(settings.partitions)]


async def _compare(settings: Settings, consumer: Any, partition: int) -> Comparison:
    topics = names(settings)
    rows, applied = await _rows(consumer, TopicPartition(topics.jobs_changelog, partition))
    sources = [
        await _source(settings, consumer, TopicPartition(topic, partition), applied.get(topic, -1))
        for topic in (topics.commands, topics.step_events)
    ]
    log = PartitionLog(sources[0].messages, sources[1].messages, max(source.complete_from for source in sources))
    return compare(rows, log)


async def _rows(consumer: Any, tp: TopicPartition) -> tuple[dict[str, Job | DeletedJob], dict[str, int]]:
    """The rows as they were at the last one with applied offsets, and these offsets by topic."""
    rows, applied, later = dict[str, Job | DeletedJob](), dict[str, int](), list[Any]()
    async for record in _records(consumer, tp, None):
        later.append(record)
        at = _applied_offsets(record)
        if at:
            for earlier in later:
                _apply(rows, earlier)
            later.clear()
            applied |= {topic: max(offset, applied.get(topic, -1)) for topic, offset in at.items()}
    return rows, applied


def _applied_offsets(record: Any) -> dict[str, int]:
    if record.value is None:
        return {}
    [(_, _, at)] = split_rows([(record.key.decode(), record.value)])
    return at


def _apply(rows: dict[str, Job | DeletedJob], record: Any) -> None:
    key = record.key.decode()
    if record.value is None:
        before = rows.get(key.lstrip("!"))
        if before is not None and isinstance(before, DeletedJob) == key.startswith("!"):
            del rows[key.lstrip("!")]
        return
    [(_, row, _)] = split_rows([(key, record.value)])
    if isinstance(row, (Job, DeletedJob)):
        rows[row.id] = row


async def _source(settings: Settings, consumer: Any, tp: TopicPartition, last_offset: int) -> Source:
    """The messages of one partition up to `last_offset`."""
    messages, first_at = list[LogMessage](), math.inf
    async for record in _records(consumer, tp, last_offset):
        first_at = min(first_at, record.timestamp / 1000)
        messages += _messages(settings, record)
    trimmed = (await consumer.beginning_offsets([tp]))[tp] > 0
    return Source(messages, first_at if trimmed else 0.0)


def _messages(settings: Settings, record: Any) -> Iterator[LogMessage]:
    for entry in read(record.value, record.headers):
        if not isinstance(entry, Entry) or not isinstance(entry.message, _CHANGING):
            continue
        belongs_here = partition_of(entry.message.asset_id, settings.partitions) == record.partition
        if belongs_here and not isinstance(entry.message, AttemptHeartbeat):
            yield LogMessage(record.timestamp / 1000, entry.message)


async def _records(consumer: Any, tp: TopicPartition, last_offset: int | None) -> AsyncIterator[Any]:
    """The records of a partition up to `last_offset`; None: up to its current end."""
    assign_paused(consumer, [tp])
    starts, ends = await consumer.beginning_offsets([tp]), await consumer.end_offsets([tp])
    if last_offset is not None:
        ends[tp] = min(ends[tp], last_offset + 1)
    async for record in read_between(consumer, starts, ends):
        yield record
