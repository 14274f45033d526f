"""Consumers without a group: each reads what it is assigned, from where it seeks to, and keeps its own position.

Everyone reads topics through these, so that none depends on what a producer does: transactions, codecs, damage.

They look up offsets before they fetch: a broker answers the requests of a connection in order, so a lookup behind a
fetch waits until that has brought something or has waited for its time: measured, 1.5 s each on a quiet topic.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition  # noqa: TID251 - the place where they are made

from streams.kafka import record_parsing

#: Events of a transaction count once it is committed, and never when it is aborted.
ISOLATION = "read_committed"

#: `fetch_max_wait_ms` of consumers that follow a topic for ever; Faust's have the same. Measured: 12.7 % of a core for
#: the idle system with 50, 6.7 % with 500, 4.9 % with 1,000, 4.4 % with 1,500; a job's latency is the same.
FOLLOWER_MS = 1500
#: `fetch_max_wait_ms` of consumers that read up to an end: what is there comes at once.
BOUNDED_MS = 100
_POLL_MS = 1_000
#: Longest that the end of a start is waited for when nobody needs it any more.
_START_S = 1.0
_AT_ONCE = 500


def make_consumer(
    bootstrap: str, *, reset: Literal["earliest", "latest", "none"], wait_ms: int = BOUNDED_MS, **options: Any
) -> Any:
    """A consumer that has not started. `reset`: where it goes on from a position that the log does not have. `wait_ms`:
    how long the broker may hold back a fetch that finds nothing.
    """
    record_parsing.install()
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset=reset,
        isolation_level=ISOLATION,
        fetch_max_wait_ms=wait_ms,
        **options,
    )


@asynccontextmanager
async def started(client: Any, stop: Callable[[], Awaitable[None]]) -> AsyncIterator[Any]:
    """A client of aiokafka, started; `stop` ends it. Raises what its start raises.

    A start that is cancelled would leave a connection open, so it is given a moment to come to its end.
    """
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
        yield client
    finally:
        if not starting.done():
            await asyncio.wait({starting}, timeout=_START_S)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await stop()


def assign_paused(consumer: Any, parts: Iterable[TopicPartition]) -> None:
    """Assign partitions; nothing of them is fetched until `fetch_from`."""
    assigned = list(parts)
    consumer.assign(assigned)
    consumer.pause(*assigned)  # aiokafka sends nothing before the next `await`


def fetch_from(consumer: Any, offsets: Mapping[TopicPartition, int]) -> None:
    """Fetch paused partitions from these offsets on."""
    for part, offset in offsets.items():
        consumer.seek(part, offset)
    consumer.resume(*offsets)


async def read_between(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """Records from `starts` up to `ends`, which are not included; in order within a partition. Raises KafkaError.

    The partitions are assigned and paused. Nobody polls for more than there is: one that was read is paused again.
    """
    at_once = min(_AT_ONCE, max(1, sum(ends[part] - start for part, start in starts.items())))
    left = {part for part, start in starts.items() if start < ends[part]}
    fetch_from(consumer, {part: starts[part] for part in left})
    while left:
        found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=at_once)
        # Before the next `await` that waits: aiokafka would fetch on.
        read = {part for part in left if await consumer.position(part) >= ends[part]}
        consumer.pause(*read)
        left -= read
        for part, records in found.items():
            for record in records:
                if record.offset < ends[part]:
                    yield record
