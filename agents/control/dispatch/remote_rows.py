"""Rows of other control processes: from the row cache as far as it goes, then from their changelog."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from streams.kafka.reader import read_between
from streams.process.turns import in_turns
from tables.cache.row_cache import Position
from tables.changelog_table import ChangelogTable


class CachedRecord(NamedTuple):
    """A row of the cache, as a record of its changelog."""

    partition: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


class RemoteRows:
    """Reads the changelog partitions `parts` of other processes."""

    def __init__(self, table: ChangelogTable, parts: Sequence[TopicPartition]) -> None:
        self._rows, self._parts = table.rows, parts
        #: Offsets after the records that were read.
        self.ends: dict[TopicPartition, int] = {}
        #: Applied offsets that the cache says, by topic and partition.
        self.applied: dict[tuple[str, int], int] = {}

    async def read(self, reader: Any) -> AsyncIterator[Any]:
        """Open jobs and queues of the cache, then the records behind it. Raises KafkaError."""
        if not self._parts:
            return
        starts, self.ends = await reader.beginning_offsets(self._parts), await reader.end_offsets(self._parts)
        for part, position in (await self._cached(reader)).items():
            starts[part] = position.offset + 1
            self.applied |= {(topic, part.partition): offset for topic, offset in position.applied.items()}
            async for key, row in in_turns(self._rows.cached_to_act_on(part.partition)):
                yield CachedRecord(part.partition, key, row)
        async for record in read_between(reader, starts, self.ends):
            yield record

    async def _cached(self, reader: Any) -> dict[TopicPartition, Position]:
        """The positions whose last record is on the log as the cache has it: it may be a cache of another log."""
        positions = {part: position for part in self._parts if (position := self._rows.position(part.partition))}
        positions = {part: position for part, position in positions.items() if position.offset < self.ends[part]}
        starts = {part: position.offset for part, position in positions.items()}
        ends = {part: offset + 1 for part, offset in starts.items()}
        same = dict[TopicPartition, Position]()
        async for record in read_between(reader, starts, ends):
            part = TopicPartition(record.topic, record.partition)
            if record.offset == starts[part] and record.timestamp == positions[part].timestamp_ms:
                same[part] = positions[part]
        return same
