"""Topics of the versions before the dispatcher, `<prefix>step-requests.<step>`: deleted once nobody uses them.

Nothing is lost with them: a step that waits is in its job's row, and the dispatcher gives it to an executor.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from streams.kafka.admin_client import admin_client
from streams.kafka.consumer_groups import subscribed_topics
from streams.kafka.reader import open_reader
from streams.kafka.topics import names
from streams.settings import Settings

#: Seconds without a new record until no control of a version before counts as running.
RESTING_S = 60.0
_TIMEOUT_S = 30.0


class Pruned(NamedTuple):
    """What became of the old topics."""

    deleted: list[str]
    #: Topics that are in use, one sentence each.
    kept: list[str]


async def prune(settings: Settings, resting_s: float = RESTING_S) -> Pruned:
    """Delete the old topics that no executor reads and no control writes. Raises KafkaError, TimeoutError."""
    async with asyncio.timeout(_TIMEOUT_S), admin_client(settings.cluster, _TIMEOUT_S) as admin:
        partitions = await _old_topics(admin, settings)
        used = in_use(
            partitions, await subscribed_topics(admin, settings), await _written(settings, partitions, resting_s)
        )
        deleted = sorted(partitions.keys() - used.keys())
        if deleted:
            await _delete(admin, deleted)
        return Pruned(deleted, [f"{name} {reason}" for name, reason in sorted(used.items())])


def in_use(old: Iterable[str], subscribed: Iterable[str], written: Iterable[str]) -> dict[str, str]:
    """Why topics are in use, by name."""
    readers, writers = set(subscribed), set(written)
    reasons = {name: "was written lately: control of an earlier version runs" for name in old if name in writers}
    return reasons | {name: "is read by an executor of an earlier version" for name in old if name in readers}


async def _old_topics(admin: AIOKafkaAdminClient, settings: Settings) -> dict[str, int]:
    """Number of partitions by name."""
    prefix = names(settings).step_requests + "."
    return {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics() if t["topic"].startswith(prefix)}


async def _written(settings: Settings, topics: Mapping[str, int], resting_s: float) -> set[str]:
    """Topics with records of the last `resting_s` seconds."""
    parts = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
    if not parts:
        return set()
    since_ms = int((time.time() - resting_s) * 1000)
    async with open_reader(settings.cluster, reset="none") as reader:
        found: dict[TopicPartition, Any] = await reader.offsets_for_times(dict.fromkeys(parts, since_ms))
    return {part.topic for part, place in found.items() if place is not None}


async def _delete(admin: AIOKafkaAdminClient, topics: list[str]) -> None:
    response = await admin.delete_topics(topics)
    for name, code in response.topic_error_codes:
        error: type[KafkaError] | None = for_code(code) if code else None
        if error is not None and error is not UnknownTopicOrPartitionError:  # another process has deleted it
            raise error(name)
