"""What every agent asks before it touches a record: am I still the owner, and is nothing missing before it?"""

import logging
from typing import Any

from streams.ending import EX_HOLE, end_process
from streams.faust_app import KinologApp
from streams.fence import Fence

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
        """Records that retention removed before anybody read them are gone for good; any other hole is healed by a
        start from the expected offset.
        """
        expected = self._app.continuity.expected(tp)
        beginning = (await self._app.consumer.earliest_offsets(tp)).get(tp, 0)
        if expected is not None and beginning < offset:
            end_process(
                EX_HOLE, "records are missing", topic=tp.topic, partition=tp.partition, expected=expected, got=offset
            )
        if expected is None:
            end_process(
                EX_HOLE, "a record of a partition that was not assigned", topic=tp.topic, partition=tp.partition
            )
        log.error(
            "retention removed records that nobody had read",
            extra={"topic": tp.topic, "partition": tp.partition, "expected": expected, "got": offset},
        )
        self._app.continuity.jump(tp, offset)
