"""Precedence between the three request topics of a step: high before normal before low, without starvation."""

import asyncio
from collections.abc import Callable

from schemas.jobs import PRIORITIES, Priority

#: Requests of higher priority that may overtake a waiting one; then one of the lower priority is taken.
PATIENCE = 8
#: Seconds after which a waiting agent checks again without being notified.
_RECHECK_S = 0.05


class Precedence:
    """The precedence of one step. The agent of each topic registers here, and waits for its turn before it pulls."""

    def __init__(self) -> None:
        self._waiting: dict[Priority, Callable[[], bool]] = {}
        self._overtaken: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._changed = asyncio.Event()

    def register(self, priority: Priority, waiting: Callable[[], bool]) -> None:
        """Add a topic. `waiting()`: whether requests of this priority are in the queue."""
        self._waiting[priority] = waiting

    def may_go(self, priority: Priority) -> bool:
        """Whether it is the turn of this priority: nothing higher waits, or it was overtaken PATIENCE times."""
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
                async with asyncio.timeout(_RECHECK_S):
                    await self._changed.wait()
            except TimeoutError:
                pass  # a rebalance may have taken the waiting requests away

    def took(self, priority: Priority, count: int) -> None:
        """`count` requests of this priority were taken; they overtook the waiting ones of lower priority."""
        self._overtaken[priority] = 0
        for other in PRIORITIES[PRIORITIES.index(priority) + 1 :]:
            self._overtaken[other] = self._overtaken[other] + count if self._waits(other) else 0
        self._changed.set()

    def _waits(self, priority: Priority) -> bool:
        waiting = self._waiting.get(priority)
        return waiting is not None and waiting()

    def _is_due(self, priority: Priority) -> bool:
        return self._overtaken[priority] >= PATIENCE and self._waits(priority)
