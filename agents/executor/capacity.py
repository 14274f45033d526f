"""Capacity of an executor: slots per step, paused queues, and the budget of CPUs."""

import asyncio
from collections import deque
from collections.abc import Iterable

from schemas.step_events import QueueChanged


class Slots:
    """The `size` slots for attempts of one step. A batch may overdraw them: none is free until enough are released."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._has_free = asyncio.Event()
        self._has_free.set()

    @property
    def free(self) -> int:
        """Attempts that may still be accepted; 0 while overdrawn."""
        return max(self._free, 0)

    def acquire(self) -> None:
        """Take one slot, even if none is free."""
        self._free -= 1
        if self._free <= 0:
            self._has_free.clear()

    def release(self) -> None:
        """Return one slot."""
        self._free += 1
        if self._free > 0:
            self._has_free.set()

    async def wait_free(self) -> None:
        """Return when a slot is free."""
        await self._has_free.wait()


class PausedQueues:
    """Which of the steps' queues are paused."""

    def __init__(self, steps: Iterable[str]) -> None:
        self._running = {step: asyncio.Event() for step in steps}
        self._changed_at: dict[str, float] = {}
        for running in self._running.values():
            running.set()

    def apply(self, change: QueueChanged) -> None:
        """Pause or resume a queue. Ignored when a newer change of the queue is known."""
        if change.changed_at < self._changed_at.get(change.step, 0.0):
            return
        self._changed_at[change.step] = change.changed_at
        running = self._running.get(change.step)
        if running is not None:
            running.clear() if change.paused else running.set()

    def is_paused(self, step: str) -> bool:
        """Whether the step's queue is paused."""
        return not self._running[step].is_set()

    async def wait_resumed(self, step: str) -> None:
        """Return when the step's queue is not paused."""
        await self._running[step].wait()


class CpuTicket:
    """A position in the queue for the CPUs."""

    def __init__(self, budget: "CpuBudget") -> None:
        self._budget = budget
        self._granted = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Whether the CPUs have not been granted yet."""
        return not self._granted.is_set()

    async def acquire(self) -> None:
        """Return when all tickets before this one are released."""
        await self._granted.wait()

    def release(self) -> None:
        """Give up the CPUs, or the position in the queue. A repeat is harmless."""
        self._budget.release(self)

    def grant(self) -> None:
        """Let `acquire` return."""
        self._granted.set()


class CpuBudget:
    """The CPUs of one executor. A heavy attempt gets all of them; attempts get them in the order of acceptance."""

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self._queue: deque[CpuTicket] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    def enqueue(self) -> CpuTicket:
        """A new ticket at the end of the queue."""
        ticket = CpuTicket(self)
        self._queue.append(ticket)
        self._idle.clear()
        self._queue[0].grant()
        return ticket

    def release(self, ticket: CpuTicket) -> None:
        """See CpuTicket.release."""
        if ticket not in self._queue:
            return
        self._queue.remove(ticket)
        if self._queue:
            self._queue[0].grant()
        else:
            self._idle.set()

    @property
    def is_free(self) -> bool:
        """Whether no attempt has the CPUs or waits for them."""
        return self._idle.is_set()

    async def wait_free(self) -> None:
        """Return when no attempt has the CPUs or waits for them."""
        await self._idle.wait()
