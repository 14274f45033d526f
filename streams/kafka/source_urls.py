"""Reader of full source URLs on `media.source-urls`: one record, by its offset, when a step needs it.

A record's key is the job's id, its value the URL. It ends with a tombstone when the job is deleted, or by retention.
"""

import asyncio

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processors.errors import SourceMissing, SourceUnavailable
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings

_READ_S = 30.0


class SourceUrls:
    """Reads full URLs; keeps none."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._topic = settings, names(settings).source_urls

    async def find(self, asset_id: str, job_id: str, offset: int) -> str:
        """The full URL of a job. Raises SourceMissing where it has ended, SourceUnavailable without the log."""
        part = TopicPartition(self._topic, partition_of(asset_id, self._settings.partitions))
        try:
            async with asyncio.timeout(_READ_S):
                found = await self._read(part, job_id.encode(), offset)
        except (KafkaError, OSError) as error:  # a timeout, too
            raise SourceUnavailable("The source's URL cannot be read from the log now.", detail=repr(error)) from error
        if found is None:
            raise SourceMissing("The source's URL is no longer kept: submit it again.")
        return found.decode()

    async def _read(self, part: TopicPartition, key: bytes, offset: int) -> bytes | None:
        async with open_reader(self._settings.cluster, [part], reset="earliest") as consumer:
            end = (await consumer.end_offsets([part]))[part]
            start = max(offset, (await consumer.beginning_offsets([part]))[part])
            # Compaction may have kept only the record of a repeated submission, which is further on.
            for stop in (min(offset + 1, end), end):
                async for record in read_between(consumer, {part: start}, {part: stop}):
                    if record.key == key and record.value:
                        return bytes(record.value)
        return None
