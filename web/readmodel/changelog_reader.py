"""The two compacted changelogs, read without a group: what log it is, where it begins and ends, and what it brings."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.envelope import fault_of
from streams.kafka.reader import FOLLOWER_MS, make_consumer
from streams.kafka.topics import names
from streams.settings import Settings
from web.readmodel.changelog import Changelog, Record
from web.readmodel.projector import Batch

_POLL_MS = 1_000
_BATCH_RECORDS = 2_000
_FETCH_BYTES = 2 * 1024**2
_TOPICS_AGAIN_S = 0.25

#: One partition of one changelog.
Part = tuple[Changelog, int]


class WrongPartitions(Exception):
    """A changelog does not have the configured number of partitions; the message says which."""


class Extent(NamedTuple):
    """What a log holds."""

    #: Kafka's id of the cluster.
    cluster: str
    #: First offset of each part, and the offset after its last.
    starts: dict[Part, int]
    ends: dict[Part, int]


class LogReader:
    """One connection to the changelogs; after an error it is closed and another one made. Use as a context manager."""

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
            settings.bootstrap,
            client_id=f"kinolog-web-{settings.web.replica}",
            wait_ms=FOLLOWER_MS,
            reset="none",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def extent(self) -> Extent:
        """What the log holds now; waits for the topics to exist. Raises WrongPartitions, KafkaError."""
        cluster = await self._cluster()
        parts = list(self._parts.values())
        self._consumer.assign(parts)
        starts = await self._consumer.beginning_offsets(parts)
        return Extent(cluster, {part: starts[place] for part, place in self._parts.items()}, await self.ends())

    async def ends(self) -> dict[Part, int]:
        """The offset after the last record of each part."""
        ends = await self._consumer.end_offsets(list(self._parts.values()))
        return {part: ends[place] for part, place in self._parts.items()}

    def seek(self, offsets: Mapping[Part, int]) -> None:
        """Read on from here."""
        for part, offset in offsets.items():
            self._consumer.seek(self._parts[part], offset)

    async def fetch(self) -> Batch:
        """What has come, by changelog, in order within each partition; empty after a second without news."""
        found = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
        batch: dict[Changelog, list[Record]] = {"jobs": [], "assets": []}
        for place, records in found.items():
            batch[self._names[place.topic]] += [
                Record(place.partition, record.offset, record.timestamp, record.key or b"", record.value)
                for record in records
                if fault_of(record.headers) is None  # logged where it was found: a row is lost
            ]
        return batch

    async def positions(self) -> dict[Part, int]:
        """The offset behind what `fetch` gave of each part, and behind what stands there that is nothing to read."""
        return {part: await self._consumer.position(place) for part, place in self._parts.items()}

    async def _cluster(self) -> str:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.bootstrap, client_id=f"kinolog-web-{self._settings.web.replica}"
        )
        try:
            await admin.start()
            await self._topics_exist(admin)
            return str((await admin.describe_cluster())["cluster_id"])
        finally:
            await admin.close()

    async def _topics_exist(self, admin: AIOKafkaAdminClient) -> None:
        """Return when both changelogs are there, as many partitions as configured."""
        while True:
            found = {topic["topic"]: topic for topic in await admin.describe_topics(list(self._names))}
            counts = {name: len(topic["partitions"]) for name, topic in found.items() if not topic["error_code"]}
            if len(counts) == len(self._names):
                break
            await asyncio.sleep(_TOPICS_AGAIN_S)
        for name, count in counts.items():
            if count != self._settings.partitions:
                raise WrongPartitions(
                    f"{name} has {count} partitions, KINOLOG_PARTITIONS says {self._settings.partitions}"
                )
