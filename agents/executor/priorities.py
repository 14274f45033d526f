"""Who of a step's three request topics goes first: high before normal before low, and none starved for ever."""

import asyncio
from collections.abc import Callable

from schemas.jobs import PRIORITIES, Priority

#: So many requests of higher priority may overtake a waiting one; then one of its own goes.
PATIENCE = 8
#: A waiting agent looks again after this long, whatever it was told.
_LOOK_S = 0.05


class Precedence:
    """Of one step. Each topic's agent says whether requests wait for it, and asks before it takes one."""

    def __init__(self) -> None:
        self._waiting: dict[Priority, Callable[[], bool]] = {}
        self._overtaken: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._changed = asyncio.Event()

    def join(self, priority: Priority, waiting: Callable[[], bool]) -> None:
        """`waiting()` says whether requests of this priority are at hand."""
        self._waiting[priority] = waiting

    def may_go(self, priority: Priority) -> bool:
        """Whether it is the turn of this priority: nothing higher waits, or it has been patient."""
        higher = PRIORITIES[: PRIORITIES.index(priority)]
        lower = PRIORITIES[PRIORITIES.index(priority) + 1 :]
        if any(self._is_due(other) for other in lower):
            return False
        return self._is_due(priority) or not any(self._waits(other) for other in higher)

    async def turn(self, priority: Priority) -> None:
        """Return when it is the turn of this priority."""
        while not self.may_go(priority):
            self._changed.clear()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                pass  # what waited may have been taken away, by a rebalance

    def took(self, priority: Priority, count: int) -> None:
        """So many requests of this priority were taken; those of lower ones that wait were overtaken."""
        self._overtaken[priority] = 0
        for other in PRIORITIES[PRIORITIES.index(priority) + 1 :]:
            self._overtaken[other] = self._overtaken[other] + count if self._waits(other) else 0
        self._changed.set()

    def _waits(self, priority: Priority) -> bool:
        waiting = self._waiting.get(priority)
        return waiting is not None and waiting()

    def _is_due(self, priority: Priority) -> bool:
        return self._overtaken[priority] >= PATIENCE and self._waits(priority)
