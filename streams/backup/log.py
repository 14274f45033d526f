"""The log's part of a backup: records of the topics to files, and from files to an empty log.

Through Kafka's public interfaces only, so it works with every cluster. What ends within days by itself is left out:
progress, requests, reports of executors, removals, notices of control. Control gives waiting steps to executors again,
and attempts that ran end with their leases.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from streams.backup.archive import BackupError, PartitionFile, PartitionWriter, StoredRecord, read_partition
from streams.backup.offsets import OffsetMap, translated
from streams.cluster import Cluster
from streams.kafka.admin import set_on_topics
from streams.kafka.admin_client import admin_client
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import backed_up, names
from streams.settings import Settings

#: Records are dated by whoever writes them. Source: Kafka documentation, message.timestamp.type.
_OWN_TIMES = {"message.timestamp.type": "CreateTime"}
#: Of a request for administration.
_TIMEOUT_S = 15.0
#: Batches on their way to the broker.
_MAX_SENT = 64
#: Records between two turns of other tasks.
_CHUNK = 1000


async def save_log(settings: Settings, folder: Path) -> list[PartitionFile]:
    """Write the records of all kept topics below `folder`. The system may run. Raises KafkaError, OSError."""
    files = []
    for topics in backed_up(settings):
        async with open_reader(settings.cluster, reset="none") as reader:
            parts = await _partitions(reader, topics)
            reader.assign(parts)
            reader.pause(*parts)
            files += await _save(reader, parts, folder)
    return files


async def _partitions(reader: Any, topics: Iterable[str]) -> list[TopicPartition]:
    await reader._client.force_metadata_update()
    found = {topic: reader.partitions_for_topic(topic) for topic in topics}
    if missing := sorted(topic for topic, numbers in found.items() if not numbers):
        raise BackupError(f"topics are missing: {', '.join(missing)}. Run `kinolog topics apply`.")
    return [TopicPartition(topic, number) for topic, numbers in found.items() for number in sorted(numbers)]


async def _save(reader: Any, parts: list[TopicPartition], folder: Path) -> list[PartitionFile]:
    starts, ends = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
    writers = {part: PartitionWriter(folder, part.topic, part.partition) for part in parts}
    try:
        count = 0
        async for record in read_between(reader, starts, ends):
            writers[TopicPartition(record.topic, record.partition)].add(_stored(record))
            count += 1
            if count % _CHUNK == 0:
                await asyncio.sleep(0)
    finally:
        files = [writer.close(is_trimmed=starts[part] > 0) for part, writer in writers.items()]
    return files


def _stored(record: Any) -> StoredRecord:
    headers = [(name, value) for name, value in record.headers if value is not None]
    return StoredRecord(record.offset, record.timestamp, record.key, record.value, headers)


async def restore_log(settings: Settings, folder: Path, files: Iterable[PartitionFile]) -> int:
    """Write the records to the topics, which exist and are empty; the number of records.

    Records keep their times, with which retention, timelines and the rebuild check reckon: until `apply_topics` the
    topics date no records themselves. Raises BackupError, KafkaError. After a failure the topics have to be deleted.
    """
    rows, kept = backed_up(settings)
    by_topic: dict[str, list[PartitionFile]] = {}
    for file in files:
        by_topic.setdefault(file.topic, []).append(file)
    if foreign := by_topic.keys() - {*rows, *kept}:
        raise BackupError(f"the backup has topics of another KINOLOG_TOPIC_PREFIX: {', '.join(sorted(foreign))}")
    await _require_empty(settings, by_topic)
    await set_on_topics(settings.cluster, [*rows, *kept], _OWN_TIMES)
    offsets, count = OffsetMap(), 0
    async with _producer(settings.cluster) as producer:
        for topic in (*kept, *rows):  # rows refer to all others, and commands to source URLs
            for file in by_topic.get(topic, ()):
                offsets.begin(file.topic, file.partition, await _write_removed(settings, producer, file))
                count += await _restore(settings, producer, folder, file, offsets)
    await _verify(settings, by_topic)
    await _remove_first(settings, [file for files in by_topic.values() for file in files])
    return count


async def _require_empty(settings: Settings, by_topic: dict[str, list[PartitionFile]]) -> None:
    """Raise BackupError if the log has a record of a kept topic, or lacks a partition."""
    ends = await _ends(settings)
    for file in (file for files in by_topic.values() for file in files):
        if TopicPartition(file.topic, file.partition) not in ends:
            raise BackupError(f"{file.topic} has no partition {file.partition} here: add partitions to it first.")
    if used := sorted({part.topic for part, end in ends.items() if end}):
        raise BackupError(f"the log is not empty ({', '.join(used)}): restore into a new data directory or cluster.")


async def _ends(settings: Settings) -> dict[TopicPartition, int]:
    rows, kept = backed_up(settings)
    async with open_reader(settings.cluster, reset="none") as reader:
        parts = await _partitions(reader, (*rows, *kept))
        ends: dict[TopicPartition, int] = await reader.end_offsets(parts)
        return ends


def _producer(cluster: Cluster) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        **cluster.client_options(), acks="all", enable_idempotence=True, max_batch_size=MAX_BATCH_BYTES
    )


def _shows_removed(settings: Settings, file: PartitionFile) -> bool:
    """Whether the partition has to begin later, so that what is missing does not count as never written.

    Compacted topics never say that.
    """
    n = names(settings)
    return file.is_trimmed and file.topic in (n.commands, n.uploads, n.step_events, n.events)


async def _write_removed(settings: Settings, producer: AIOKafkaProducer, file: PartitionFile) -> int:
    """Write a record in place of those that had been removed, to be removed itself; the number of such records."""
    if not _shows_removed(settings, file):
        return 0
    await producer.send_and_wait(file.topic, b"", partition=file.partition)
    return 1


async def _remove_first(settings: Settings, files: list[PartitionFile]) -> None:
    first = {
        TopicPartition(file.topic, file.partition): RecordsToDelete(1)
        for file in files
        if _shows_removed(settings, file)
    }
    if first:
        async with admin_client(settings.cluster, _TIMEOUT_S) as admin:
            await admin.delete_records(first)


async def _restore(
    settings: Settings, producer: AIOKafkaProducer, folder: Path, file: PartitionFile, offsets: OffsetMap
) -> int:
    source_urls, sent, batch, count = names(settings).source_urls, list[Awaitable[Any]](), producer.create_batch(), 0
    for record in read_partition(folder, file):
        value = record.value and translated(record.value, file.partition, offsets, source_urls)
        entry = {"timestamp": record.timestamp_ms, "key": record.key, "value": value, "headers": record.headers}
        if batch.append(**entry) is None:
            sent = await _send(producer, batch, file, sent)
            batch = producer.create_batch()
            batch.append(**entry)
        offsets.add(file.topic, file.partition, record.offset)
        count += 1
    if batch.record_count():
        sent = await _send(producer, batch, file, sent)
    await asyncio.gather(*sent)
    return count


async def _send(
    producer: AIOKafkaProducer, batch: Any, file: PartitionFile, sent: list[Awaitable[Any]]
) -> list[Awaitable[Any]]:
    """Send a batch; those that are not delivered yet."""
    batch.close()
    sent.append(await producer.send_batch(batch, file.topic, partition=file.partition))
    if len(sent) >= _MAX_SENT:
        await asyncio.gather(*sent)
        return []
    return sent


async def _verify(settings: Settings, by_topic: dict[str, list[PartitionFile]]) -> None:
    ends = await _ends(settings)
    for file in (file for files in by_topic.values() for file in files):
        end = ends.get(TopicPartition(file.topic, file.partition), 0)
        if end != file.records + _shows_removed(settings, file):
            raise BackupError(f"{file.topic}/{file.partition} has {end} records after the restore, not {file.records}")
