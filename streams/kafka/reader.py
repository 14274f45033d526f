"""Readers: consumers without a group, which read the partitions they are assigned and keep their own positions.

All reading goes through them, so that transactions, codecs and damaged batches are treated alike everywhere.

A reader looks up offsets before it fetches: a broker answers the requests of a connection in order, so a lookup behind
a fetch waits until the fetch returns: measured, 1.5 s each on a quiet topic.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition  # noqa: TID251 - the place where they are made

from streams.cluster import Cluster
from streams.kafka import patch_connection, record_parsing

Reset = Literal["earliest", "latest", "none"]

#: Events of a transaction count once it is committed, and never when it is aborted.
ISOLATION = "read_committed"

#: `fetch_max_wait_ms` of readers that follow a topic; Faust's have the same. Measured: 12.7 % of a core for the idle
#: system with 50, 6.7 % with 500, 4.9 % with 1,000, 4.4 % with 1,500; a job's latency is the same.
FOLLOWER_MS = 1500
#: `fetch_max_wait_ms` of readers that read up to an end: existing records are returned at once.
BOUNDED_MS = 100
_POLL_MS = 1_000
_MAX_RECORDS = 500


def make_consumer(
    cluster: Cluster, *, reset: Reset, wait_ms: int = BOUNDED_MS, isolation: str = ISOLATION, **options: Any
) -> Any:
    """A consumer that has not started. `reset`: where it continues when its position is out of range. `wait_ms`: how
    long the broker may hold back an empty fetch.
    """
    patch_connection.install()
    record_parsing.install()
    return AIOKafkaConsumer(
        **cluster.client_options(),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset=reset,
        isolation_level=isolation,
        fetch_max_wait_ms=wait_ms,
        **options,
    )


@asynccontextmanager
async def started(client: Any, stop: Callable[[], Awaitable[None]]) -> AsyncIterator[Any]:
    """An aiokafka client that is started, and stopped at the end. Raises what its start raises."""
    try:
        await client.start()
        await asyncio.sleep(0)  # aiokafka's stop raises CancelledError for a task of its start that has not run yet
        yield client
    finally:
        await stopped(client, stop)


async def stopped(client: Any, stop: Callable[[], Awaitable[None]]) -> None:
    """Stop an aiokafka client, and close its connections even when the stop is interrupted or fails.

    Its stop raises CancelledError where a task of its own was cancelled, e.g. in the pause after a failed fetch. That
    would end the caller, who was not cancelled.
    """
    try:
        await stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    finally:
        connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
        await connections.close()


@asynccontextmanager
async def open_reader(
    cluster: Cluster, parts: Iterable[TopicPartition] = (), *, reset: Reset, wait_ms: int = BOUNDED_MS, **options: Any
) -> AsyncIterator[Any]:
    """A started consumer with `parts` assigned and paused. Options as of `make_consumer`. Raises KafkaError."""
    consumer = make_consumer(cluster, reset=reset, wait_ms=wait_ms, **options)
    async with started(consumer, consumer.stop):
        assign_paused(consumer, parts)
        yield consumer


async def ends_with_open_transactions(cluster: Cluster, parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Offsets after the last record of each partition, committed or not. Raises KafkaError.

    A reader's own `end_offsets` are before the first open transaction, whatever was written behind its beginning.
    """
    async with open_reader(cluster, parts, reset="none", isolation="read_uncommitted") as reader:
        ends: dict[TopicPartition, int] = await reader.end_offsets(parts)
        return ends


def assign_paused(consumer: Any, parts: Iterable[TopicPartition]) -> None:
    """Assign partitions; nothing is fetched from them until `fetch_from`."""
    assigned = list(parts)
    consumer.assign(assigned)
    consumer.pause(*assigned)  # aiokafka sends nothing before the next `await`


def fetch_from(consumer: Any, offsets: Mapping[TopicPartition, int]) -> None:
    """Fetch paused partitions from these offsets on."""
    for part, offset in offsets.items():
        consumer.seek(part, offset)
    consumer.resume(*offsets)


async def read_to_end(consumer: Any, parts: Sequence[TopicPartition]) -> AsyncIterator[ConsumerRecord]:
    """Records of assigned partitions from their beginning to their end as of now. Raises KafkaError."""
    starts, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    async for record in read_between(consumer, starts, ends):
        yield record


async def read_between(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """Records from `starts` up to `ends`, which are not included; in order within a partition. Raises KafkaError.

    The partitions are assigned and paused. A partition that was read is paused again, so nothing behind `ends` is
    fetched.
    """
    max_records = min(_MAX_RECORDS, max(1, sum(ends[part] - start for part, start in starts.items())))
    left = {part for part, start in starts.items() if start < ends[part]}
    for part, start in starts.items():
        consumer.seek(part, start)  # also where there is nothing to read: with reset "none" each needs a position
    consumer.resume(*left)
    while left:
        batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=max_records)
        # Before the next `await` that waits: aiokafka would fetch on.
        finished = {part for part in left if await consumer.position(part) >= ends[part]}
        consumer.pause(*finished)
        left -= finished
        for part, records in batches.items():
            for record in records:
                if record.offset < ends[part]:
                    yield record
