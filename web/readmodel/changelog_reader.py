"""Reader of the two compacted changelogs, without a consumer group."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.admin_client import admin_client
from streams.kafka.envelope import fault_of
from streams.kafka.reader import FOLLOWER_MS, make_consumer, started
from streams.kafka.topics import names
from streams.settings import Settings
from web.readmodel.changelog import Changelog, Record
from web.readmodel.projector import Batch

_POLL_MS = 1_000
_BATCH_RECORDS = 2_000
_FETCH_BYTES = 2 * 1024**2
_TOPICS_RETRY_S = 0.25
#: Timeout of requests for the cluster and its topics.
_ADMIN_S = 40.0

#: One partition of one changelog.
ChangelogPartition = tuple[Changelog, int]


class WrongPartitions(Exception):
    """A changelog does not have the configured number of partitions; the message says which."""


class Extent(NamedTuple):
    """The cluster of a log, and the offsets that it holds."""

    #: Kafka's id of the cluster; where the changelogs have no default names, with the prefix of these.
    cluster: str
    #: First offset of each partition, and the offset after its last record.
    starts: dict[ChangelogPartition, int]
    ends: dict[ChangelogPartition, int]


class LogReader:
    """One connection to the changelogs, used as a context manager. After an error, open another one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        topics = names(settings)
        self._names: dict[str, Changelog] = {topics.jobs_changelog: "jobs", topics.assets_changelog: "assets"}
        self._parts = {
            (name, partition): TopicPartition(topic, partition)
            for topic, name in self._names.items()
            for partition in range(settings.partitions)
        }
        self._consumer = make_consumer(
            settings.cluster,
            client_id=f"kinolog-web-{settings.web.replica}",
            wait_ms=FOLLOWER_MS,
            reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(started(self._consumer, self._consumer.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def extent(self) -> Extent:
        """The current extent of the log; waits for the topics to exist. Raises WrongPartitions, KafkaError."""
        cluster = await self._cluster()
        parts = list(self._parts.values())
        self._consumer.assign(parts)
        starts = await self._consumer.beginning_offsets(parts)
        return Extent(cluster, {part: starts[tp] for part, tp in self._parts.items()}, await self.ends())

    async def ends(self) -> dict[ChangelogPartition, int]:
        """The offset after the last record of each partition."""
        ends = await self._consumer.end_offsets(list(self._parts.values()))
        return {part: ends[tp] for part, tp in self._parts.items()}

    def seek(self, offsets: Mapping[ChangelogPartition, int]) -> None:
        """Continue reading at these offsets."""
        for part, offset in offsets.items():
            self._consumer.seek(self._parts[part], offset)

    async def fetch(self) -> Batch:
        """New records by changelog, in order within each partition; empty after a second without any."""
        fetched = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
        batch: dict[Changelog, list[Record]] = {"jobs": [], "assets": []}
        for tp, records in fetched.items():
            batch[self._names[tp.topic]] += [
                Record(tp.partition, record.offset, record.timestamp, record.key or b"", record.value)
                for record in records
                if fault_of(record.headers) is None  # logged by the consumer: a row is lost
            ]
        return batch

    async def positions(self) -> dict[ChangelogPartition, int]:
        """Next offset of each partition, after fetched records and after transaction markers."""
        return {part: await self._consumer.position(tp) for part, tp in self._parts.items()}

    async def _cluster(self) -> str:
        async with admin_client(self._settings.cluster, _ADMIN_S) as admin:
            await self._topics_exist(admin)
            cluster_id = str((await admin.describe_cluster())["cluster_id"])
        prefix = self._settings.own_prefix
        return cluster_id if prefix == Settings().own_prefix else f"{cluster_id}/{prefix}"

    async def _topics_exist(self, admin: AIOKafkaAdminClient) -> None:
        """Wait until both changelogs exist. Raises WrongPartitions for another number of partitions."""
        while True:
            topics = {topic["topic"]: topic for topic in await admin.describe_topics(list(self._names))}
            counts = {name: len(topic["partitions"]) for name, topic in topics.items() if not topic["error_code"]}
            if len(counts) == len(self._names):
                break
            await asyncio.sleep(_TOPICS_RETRY_S)
        for name, count in counts.items():
            if count != self._settings.partitions:
                raise WrongPartitions(
                    f"{name} has {count} partitions, KINOLOG_PARTITIONS is {self._settings.partitions}"
                )
