"""A semaphore whose slots go to callers in turn: many requests of one caller do not delay another's."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

#: Who shares a turn with whom: owner, token or IP address of the running request; "" for the process itself.
CALLER: ContextVar[str] = ContextVar("caller", default="")
#: Queries of one caller that may wait for a thread; some 50 s of the slowest ones.
MAX_WAITING = 1_000
#: Callers share slots with those who called within so many seconds.
_RECENT_S = 1.0


class QueueFull(Exception):
    """A caller has too many requests that wait for a slot."""


class FairSemaphore:
    """`slots` in all, at most `per_caller` of one caller, who may have `queue` requests waiting.

    The next slot goes to the caller who holds the fewest; among these, to the one who has waited for a turn longest.
    With `shared` the callers of the last second share the `per_caller` slots, at least one for each: what one caller
    does in threads delays the others even while slots are free, for threads of one process take turns themselves.
    """

    def __init__(self, slots: int, per_caller: int, queue: int, *, shared: bool = False) -> None:
        self._free, self._per_caller, self._queue = slots, per_caller, queue
        self._recent = RecentCallers() if shared else None
        self._held: Counter[str] = Counter()
        #: Waiting requests by caller; callers in the order of their turns.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, caller: str | None = None) -> AsyncIterator[None]:
        """Hold a slot. `caller`: CALLER if not given. Raises QueueFull."""
        caller = CALLER.get() if caller is None else caller
        await self.acquire(caller)
        try:
            yield
        finally:
            self.release(caller)

    async def acquire(self, caller: str) -> None:
        """Wait for a slot; `release` follows. Raises QueueFull."""
        if len(self._waiting.get(caller, ())) >= self._queue:
            raise QueueFull
        self._note(caller)
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(granted)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._forget(caller, granted)
            else:  # granted and cancelled at the same time
                self.release(caller)
            raise

    def release(self, caller: str) -> None:
        """Give back a slot."""
        self._free += 1
        self._held[caller] -= 1
        self._held = +self._held  # callers without slots leave nothing behind
        self._note(caller)
        self._grant()

    def is_shared(self, caller: str) -> bool:
        """Whether others called within the last second, and none of them waits for a slot. Threads may ask."""
        others_wait = len(self._waiting) > (caller in self._waiting)
        return self._recent is not None and self._recent.has_others(caller) and not others_wait

    def _note(self, caller: str) -> None:
        if self._recent is not None:
            self._recent.note(caller, asyncio.get_running_loop().time())

    def _forget(self, caller: str, granted: asyncio.Future[None]) -> None:
        queue = self._waiting.get(caller)
        if queue is not None and granted in queue:
            queue.remove(granted)
            if not queue:
                del self._waiting[caller]

    def _grant(self) -> None:
        while self._free and (caller := self._next_caller()) is not None:
            queue = self._waiting.pop(caller)
            granted = queue.popleft()
            if queue:
                self._waiting[caller] = queue  # its next turn comes last
            if granted.cancelled():
                continue
            self._free -= 1
            self._held[caller] += 1
            granted.set_result(None)

    def _next_caller(self) -> str | None:
        most = self._per_caller if self._recent is None else max(self._per_caller // self._recent.count(), 1)
        allowed = [caller for caller in self._waiting if self._held[caller] < most]
        return min(allowed, key=lambda caller: self._held[caller], default=None)


class RecentCallers:
    """Who called within the last second."""

    def __init__(self) -> None:
        #: When each called last, on the event loop's clock; the one who called last is at the end.
        self._last: OrderedDict[str, float] = OrderedDict()

    def note(self, caller: str, now: float) -> None:
        """That caller calls now."""
        self._last[caller] = now
        self._last.move_to_end(caller)
        while self._last[first := next(iter(self._last))] < now - _RECENT_S:
            del self._last[first]

    def has_others(self, caller: str) -> bool:
        """Whether anybody but the caller and the process itself did."""
        return len(self._last) > (caller in self._last) + ("" in self._last)

    def count(self) -> int:
        """How many; at least 1."""
        return max(len(self._last), 1)
