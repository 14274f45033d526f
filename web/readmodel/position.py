"""The position of this replica in the changelogs, for readers that wait for their own writes."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from web.http.cursors import WriteCursor
from web.readmodel.changelog import AppliedOffsets, Changelog


class Position:
    """Offsets that have been read and applied, and the tasks that wait for more. Used on the event loop only."""

    def __init__(self, commands_topic: str) -> None:
        self._topic = commands_topic
        self._applied: dict[Changelog, AppliedOffsets] = {"jobs": {}, "assets": {}}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        #: Mark of the log that the read model was built from; None until it is known.
        self.log: str | None = None
        #: Next offset of each partition of the jobs changelog.
        self.offsets: list[int] = []
        #: True while the read model is rebuilt from the start of the log.
        self.rebuilding = True
        #: Set once the read model has reached the end of the log as of the last check.
        self.caught_up = asyncio.Event()

    def restart(self, log: str, offsets: list[int], *, rebuilding: bool) -> None:
        """Start from the read model's offsets in this log; `note_applied` follows."""
        self.log, self.offsets, self.rebuilding = log, offsets, rebuilding
        self._applied = {"jobs": {}, "assets": {}}
        if rebuilding:
            self.caught_up.clear()

    def note_applied(
        self,
        offsets: Mapping[Changelog, AppliedOffsets],
        voided: Mapping[Changelog, Collection[tuple[str, int]]] = MappingProxyType({}),
    ) -> None:
        """Record applied offsets and wake the tasks that wait for them. `voided`: what is forgotten before."""
        for name, new in offsets.items():
            known = self._applied[name]
            for source in voided.get(name, ()):
                known.pop(source, None)
            for source, offset in new.items():
                known[source] = max(offset, known.get(source, -1))
        self._wake()

    def applied(self, topic: str, partition: int) -> int:
        """Highest offset of a source partition that control is known to have applied; -1 for none."""
        return max(known.get((topic, partition), -1) for known in self._applied.values())

    def has_applied(self, changelog: Changelog, write: WriteCursor) -> bool:
        """Whether all of `write` has been applied, according to what was read of `changelog`."""
        known = self._applied[changelog]
        return all(known.get((self._topic, partition), -1) >= offset for partition, offset in write.offsets.items())

    def has_reached(self, offsets: tuple[int, ...]) -> bool:
        """Whether the jobs changelog has been read to `offsets`."""
        return all(current >= requested for current, requested in zip(self.offsets, offsets, strict=True))

    async def until(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until the condition `reached` on this position holds; False on timeout."""
        if reached():
            return True
        waiting = (reached, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(timeout_s):
                await waiting[1]
            return True
        except TimeoutError:
            return False
        finally:
            self._waiting.remove(waiting)

    def _wake(self) -> None:
        for reached, future in self._waiting:
            if not future.done() and reached():
                future.set_result(None)
