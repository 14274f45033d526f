"""Room: how many attempts of a step run at a time, and who has the CPUs."""

import asyncio
from collections import deque
from collections.abc import Iterable

from schemas.step_events import QueueChanged


class Slots:
    """Room for `size` attempts of one step. A group may take more than there is: nothing is free until it shrank."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = asyncio.Event()
        self._changed.set()

    @property
    def free(self) -> int:
        """Attempts that may still be taken; 0 while overdrawn."""
        return max(self._free, 0)

    def take(self) -> None:
        """Take one slot, whether there is one or not."""
        self._free -= 1
        if self._free <= 0:
            self._changed.clear()

    def give_back(self) -> None:
        """Return one slot."""
        self._free += 1
        if self._free > 0:
            self._changed.set()

    async def wait_free(self) -> None:
        """Return when a slot is free."""
        await self._changed.wait()


class PausedQueues:
    """Which steps' queues may be taken from."""

    def __init__(self, steps: Iterable[str]) -> None:
        self._open = {step: asyncio.Event() for step in steps}
        self._changed_at: dict[str, float] = {}
        for valve in self._open.values():
            valve.set()

    def turn(self, change: QueueChanged) -> None:
        """Pause or resume, unless something newer is known of that queue."""
        if change.changed_at < self._changed_at.get(change.step, 0.0):
            return
        self._changed_at[change.step] = change.changed_at
        valve = self._open.get(change.step)
        if valve is not None:
            valve.clear() if change.paused else valve.set()

    def is_open(self, step: str) -> bool:
        """Whether the step's queue is not paused."""
        return self._open[step].is_set()

    async def wait_open(self, step: str) -> None:
        """Return when the step's queue is not paused."""
        await self._open[step].wait()


class CpuTicket:
    """A place in the line for the CPUs."""

    def __init__(self, budget: "CpuBudget") -> None:
        self._budget = budget
        self._came = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether it has not come yet."""
        return not self._came.is_set()

    async def come(self) -> None:
        """Return when everybody before has left."""
        await self._came.wait()

    def leave(self) -> None:
        """Give up the CPUs, or the place in the line. A repeat is harmless."""
        self._budget.leave(self)

    def call(self) -> None:
        """Say that it has come."""
        self._came.set()


class CpuBudget:
    """The CPUs of one executor. Heavy attempts have all of them, one after another, in the order they were accepted."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self._line: deque[CpuTicket] = deque()
        self._unclaimed = asyncio.Event()
        self._unclaimed.set()

    def queue(self) -> CpuTicket:
        """Join the end of the line."""
        turn = CpuTicket(self)
        self._line.append(turn)
        self._unclaimed.clear()
        self._line[0].call()
        return turn

    def leave(self, turn: CpuTicket) -> None:
        """See Turn.leave."""
        if turn not in self._line:
            return
        self._line.remove(turn)
        if self._line:
            self._line[0].call()
        else:
            self._unclaimed.set()

    @property
    def is_free(self) -> bool:
        """Whether nobody has the CPUs or waits for them."""
        return self._unclaimed.is_set()

    async def wait_free(self) -> None:
        """Return when nobody has the CPUs or waits for them."""
        await self._unclaimed.wait()
