"""How far this replica has come, on the event loop: for readers that wait for their own writes."""

import asyncio
from collections.abc import Callable

from web.http.cursors import WriteCursor
from web.readmodel.changelog import Changelog, Claims


class Position:
    """What the changelogs vouch for, and who waits for more of it."""

    def __init__(self, commands_topic: str) -> None:
        self._topic = commands_topic
        self._claims: dict[Changelog, Claims] = {"jobs": {}, "assets": {}}
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        #: Mark of the log that the read model comes from; None until that is known.
        self.log: str | None = None
        #: Next offset of each partition of the jobs changelog.
        self.offsets: list[int] = []
        #: True while everything is being read again from the start of the log.
        self.rebuilding = True
        #: Set once the read model held all that the log held when it was looked at.
        self.caught_up = asyncio.Event()

    def restart(self, log: str, offsets: list[int], *, rebuilding: bool) -> None:
        """Begin with what the read model has of this log; what it vouches for follows by `claim`."""
        self.log, self.offsets, self.rebuilding = log, offsets, rebuilding
        self._claims = {"jobs": {}, "assets": {}}
        if rebuilding:
            self.caught_up.clear()

    def claim(self, claims: dict[Changelog, Claims]) -> None:
        """The read model vouches for these; whoever waited for one goes on."""
        for name, found in claims.items():
            known = self._claims[name]
            for source, offset in found.items():
                known[source] = max(offset, known.get(source, -1))
        self._wake()

    def applied(self, topic: str, partition: int) -> int:
        """The highest offset of a source that control has applied, as far as it is known here; -1 where none is."""
        return max(known.get((topic, partition), -1) for known in self._claims.values())

    def has_applied(self, changelog: Changelog, write: WriteCursor) -> bool:
        """Whether all of `write` is in what was read of `changelog`."""
        known = self._claims[changelog]
        return all(known.get((self._topic, partition), -1) >= offset for partition, offset in write.offsets.items())

    def has_reached(self, offsets: tuple[int, ...]) -> bool:
        """Whether the jobs changelog was read to `offsets`."""
        return all(here >= wanted for here, wanted in zip(self.offsets, offsets, strict=True))

    async def until(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for `reached`, a condition on this position; False when it is not so in time."""
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
