"""Capacity of an executor: slots per step, and the budget of CPUs."""

import asyncio
from collections import deque
from collections.abc import Callable


class Slots:
    """The `size` slots for attempts of one step. One more attempt per slot may wait for it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._accepted = 0
        #: Attempts get their slots in the order of acceptance.
        self.turns = asyncio.Semaphore(size)

    @property
    def has_room(self) -> bool:
        """Whether another attempt may be accepted."""
        return self._accepted < 2 * self.size

    @property
    def free(self) -> int:
        """Slots that no accepted attempt has or waits for."""
        return max(self.size - self._accepted, 0)

    def add(self) -> None:
        """An attempt was accepted."""
        self._accepted += 1

    def remove(self) -> None:
        """An accepted attempt has ended."""
        self._accepted -= 1


class CpuTicket:
    """A position in the queue for the CPUs."""

    def __init__(self, budget: "CpuBudget") -> None:
        self._budget = budget
        self._granted = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Whether the CPUs have not been granted yet."""
        return not self._granted.is_set()

    @property
    def is_released(self) -> bool:
        """Whether the CPUs are another attempt's."""
        return self not in self._budget

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
        #: Called when an attempt has given up the CPUs.
        self.on_release: Callable[[], None] = lambda: None

    def __contains__(self, ticket: CpuTicket) -> bool:
        return ticket in self._queue

    def enqueue(self) -> CpuTicket:
        """A new ticket at the end of the queue."""
        ticket = CpuTicket(self)
        self._queue.append(ticket)
        self._queue[0].grant()
        return ticket

    def release(self, ticket: CpuTicket) -> None:
        """See CpuTicket.release."""
        if ticket not in self._queue:
            return
        self._queue.remove(ticket)
        if self._queue:
            self._queue[0].grant()
        self.on_release()
