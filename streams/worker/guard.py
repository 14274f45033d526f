"""What every agent asks before it touches a record: am I still the owner, and is nothing missing before it?"""

import asyncio
import logging
from typing import Any

from aiokafka import TopicPartition

from streams.kafka.reader import open_reader, read_between
from streams.process.exit import EX_HOLE, end_process
from streams.worker.app import KinologApp
from streams.worker.fence import Fence

#: For a second reading of what seems to be missing.
_READ_S = 20.0

log = logging.getLogger(__name__)


class Guard:
    """The fence and the continuity check, in the order in which they are asked."""

    def __init__(self, app: KinologApp, fence: Fence) -> None:
        self._app, self._fence = app, fence

    async def check(self, message: Any) -> None:
        """Return when the record may be processed; end the process otherwise."""
        self._fence.check()
        if self._app.continuity.accept(message.tp, message.offset):
            return
        try:
            await self._explain_hole(message.tp, message.offset)
        except Exception as error:  # noqa: BLE001 - raised in an agent, it would acknowledge the record
            end_process(EX_HOLE, "records may be missing, and the broker did not say which", error=repr(error))

    async def _explain_hole(self, tp: Any, offset: int) -> None:
        """Records that retention removed before anybody read them are gone for good. Where the log has none, whatever
        the fetcher said of it, nothing is missing. Any other hole is healed by a start from the expected offset.
        """
        expected = self._app.continuity.expected(tp)
        if expected is None:
            end_process(
                EX_HOLE, "a record of a partition that was not assigned", topic=tp.topic, partition=tp.partition
            )
        about = {"topic": tp.topic, "partition": tp.partition, "expected": expected, "got": offset}
        beginning = (await self._app.consumer.earliest_offsets(tp)).get(tp, 0)
        if beginning > expected:
            log.error("retention removed records that nobody had read", extra=about)
        if await has_records(self._app.bootstrap, tp, max(expected, beginning), offset):
            end_process(EX_HOLE, "records are missing", **about)
        log.warning("offsets were passed that hold no records", extra=about)
        self._app.continuity.jump(tp, offset)


async def has_records(bootstrap: str, tp: tuple[str, int], start: int, end: int) -> bool:
    """Whether the log holds a record from `start` to before `end`, read by a consumer of its own.

    Raises KafkaError, TimeoutError.
    """
    part = TopicPartition(*tp)
    async with asyncio.timeout(_READ_S), open_reader(bootstrap, [part], reset="earliest") as reader:
        async for record in read_between(reader, {part: start}, {part: end}):
            if record.offset >= start:
                return True
    return False
