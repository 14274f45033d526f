"""`kinolog doctor --rebuild-check`: media.commands and media.step-events, folded anew, beside the live table.

It runs on a living system: a partition is compared as it stood at the last row that vouches for offsets of its sources,
and its sources are read up to these.
"""

import asyncio
import json
import logging
import math
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from schemas.jobs import DeletedJob, Job
from schemas.step_events import AttemptHeartbeat, StepEvent
from streams.broker.files import kept_port
from streams.doctor.diagnosis import UNREACHABLE
from streams.kafka.envelope import Entry, read
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import assign_paused, open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Kafka, Settings
from streams.supervisor import run_dir
from tables.rebuild_check import Compared, PartitionLog, Told, compare
from tables.rows import split_rows

#: What changes a job's row. A heartbeat never does.
_TELLING = (SubmitJob, CancelJob, RetryJob, DeleteJob, DeleteAsset, StepEvent)


class Source(NamedTuple):
    """What one partition of a source topic says."""

    told: list[Told]
    #: Date of the first record that is there, when some before it are gone; 0 otherwise.
    complete_from: float


def run(settings: Settings, *, as_json: bool) -> int:
    """Check, and say what was found on stdout. 0: the table is what the log makes of it; 1: not; 3: no log answers."""
    logging.disable()  # what goes wrong is said below
    bootstrap = _bootstrap(settings)
    try:
        found = asyncio.run(check(msgspec.structs.replace(settings, kafka=Kafka(bootstrap=bootstrap))))
    except (KafkaError, OSError) as error:
        sys.stderr.write(f"kinolog: the log at {bootstrap} does not answer: {error}\n")
        return UNREACHABLE
    for line in _as_json(found) if as_json else _in_words(found):
        sys.stdout.write(line + "\n")
    return int(any(partition.differing for partition in found))


def _bootstrap(settings: Settings) -> str:
    """The set one, or that of the `up` over this data dir."""
    if settings.kafka.bootstrap is None and run_dir.is_up(settings):
        return f"127.0.0.1:{kept_port(settings.data_path / 'kafka')}"
    return settings.bootstrap


def _as_json(found: Sequence[Compared]) -> Iterator[str]:
    for number, compared in enumerate(found):
        yield json.dumps({"partition": number, **compared._asdict()})


def _in_words(found: Sequence[Compared]) -> Iterator[str]:
    for number, compared in enumerate(found):
        verdict = "differs" if compared.differing else "is what the log makes of it"
        sums = f"{compared.log_checksum[:12]} by the log, {compared.table_checksum[:12]} in the table"
        yield f"partition {number} {verdict}: {compared.jobs} jobs, {sums}"
        if compared.unchecked:
            yield f"  {compared.unchecked} jobs cannot be checked: the log does not go back to their submission"
        yield from (f"  {sentence}" for sentence in compared.differing)


async def check(settings: Settings) -> list[Compared]:
    """Compare every partition. Raises KafkaError."""
    async with open_reader(settings.bootstrap, reset="earliest") as reader:
        return [await _compare(settings, reader, number) for number in range(settings.partitions)]


async def _compare(settings: Settings, consumer: Any, partition: int) -> Compared:
    topics = names(settings)
    rows, claims = await _rows(consumer, TopicPartition(topics.jobs_changelog, partition))
    sources = [
        await _source(settings, consumer, TopicPartition(topic, partition), claims.get(topic, -1))
        for topic in (topics.commands, topics.step_events)
    ]
    log = PartitionLog(sources[0].told, sources[1].told, max(source.complete_from for source in sources))
    return compare(rows, log)


async def _rows(consumer: Any, place: TopicPartition) -> tuple[dict[str, Job | DeletedJob], dict[str, int]]:
    """The rows as they stood at the last one that vouches for something, and all that was vouched for until then."""
    rows, claims, later = dict[str, Job | DeletedJob](), dict[str, int](), list[Any]()
    async for record in _records(consumer, place, None):
        later.append(record)
        at = _claims(record)
        if at:
            for settled in later:
                _keep(rows, settled)
            later.clear()
            claims |= {topic: max(offset, claims.get(topic, -1)) for topic, offset in at.items()}
    return rows, claims


def _claims(record: Any) -> dict[str, int]:
    if record.value is None:
        return {}
    [(_, _, at)] = split_rows([(record.key.decode(), record.value)])
    return at


def _keep(rows: dict[str, Job | DeletedJob], record: Any) -> None:
    key = record.key.decode()
    if record.value is None:
        before = rows.get(key.lstrip("!"))
        if before is not None and isinstance(before, DeletedJob) == key.startswith("!"):
            del rows[key.lstrip("!")]
        return
    [(_, row, _)] = split_rows([(key, record.value)])
    if isinstance(row, (Job, DeletedJob)):
        rows[row.id] = row


async def _source(settings: Settings, consumer: Any, place: TopicPartition, last_offset: int) -> Source:
    """What stands in one partition up to `last_offset`."""
    told, first_at = list[Told](), math.inf
    async for record in _records(consumer, place, last_offset):
        first_at = min(first_at, record.timestamp / 1000)
        told += _told(settings, record)
    trimmed = (await consumer.beginning_offsets([place]))[place] > 0
    return Source(told, first_at if trimmed else 0.0)


def _told(settings: Settings, record: Any) -> Iterator[Told]:
    for entry in read(record.value, record.headers):
        if not isinstance(entry, Entry) or not isinstance(entry.message, _TELLING):
            continue
        here = partition_of(entry.message.asset_id, settings.partitions) == record.partition
        if here and not isinstance(entry.message, AttemptHeartbeat):
            yield Told(record.timestamp / 1000, entry.message)


async def _records(consumer: Any, place: TopicPartition, last_offset: int | None) -> AsyncIterator[Any]:
    """From the beginning of a partition to `last_offset`; to what is its end now where that is None."""
    assign_paused(consumer, [place])
    starts, ends = await consumer.beginning_offsets([place]), await consumer.end_offsets([place])
    if last_offset is not None:
        ends[place] = min(ends[place], last_offset + 1)
    async for record in read_between(consumer, starts, ends):
        yield record
