"""The guard of agents: a record is handled only by the owner of its partition, and without a hole before it."""

import asyncio
import logging
from typing import Any

from aiokafka import TopicPartition

from streams.cluster import Cluster
from streams.kafka.reader import open_reader, read_between
from streams.process.exit import EX_HOLE, end_process
from streams.worker.app import KinologApp
from streams.worker.fence import Fence

#: Timeout of rereading offsets that seem to be missing, seconds.
_READ_S = 20.0

log = logging.getLogger(__name__)


class Guard:
    """The fence, then the continuity check."""

    def __init__(self, app: KinologApp, fence: Fence) -> None:
        self._app, self._fence = app, fence

    async def check(self, message: Any) -> None:
        """Return if the record may be processed; exit the process otherwise."""
        self._fence.check()
        if self._app.continuity.accept(message.tp, message.offset):
            return
        try:
            await self._explain_hole(message.tp, message.offset)
        except Exception as error:  # noqa: BLE001 - raised in an agent, it would acknowledge the record
            end_process(EX_HOLE, "records may be missing, and the broker did not respond", error=repr(error))

    async def _explain_hole(self, tp: Any, offset: int) -> None:
        """Skip offsets without records, and records that retention removed before they were read, which are lost. Exit
        for any other hole: the restart reads from the expected offset.
        """
        expected = self._app.continuity.expected(tp)
        if expected is None:
            end_process(EX_HOLE, "record of a partition that is not assigned", topic=tp.topic, partition=tp.partition)
        about = {"topic": tp.topic, "partition": tp.partition, "expected": expected, "got": offset}
        beginning = (await self._app.consumer.earliest_offsets(tp)).get(tp, 0)
        if beginning > expected:
            log.error("retention removed unread records", extra=about)
        if await has_records(self._app.cluster, tp, max(expected, beginning), offset):
            end_process(EX_HOLE, "records are missing", **about)
        log.warning("offsets without records skipped", extra=about)
        self._app.continuity.jump(tp, offset)


async def has_records(cluster: Cluster, tp: tuple[str, int], start: int, end: int) -> bool:
    """Whether the log has a record from `start` to before `end`, by reading it again.

    Raises KafkaError, TimeoutError.
    """
    part = TopicPartition(*tp)
    async with asyncio.timeout(_READ_S), open_reader(cluster, [part], reset="earliest") as reader:
        async for record in read_between(reader, {part: start}, {part: end}):
            if record.offset >= start:
                return True
    return False
