"""Snapshots that clients share: read and encoded once for all that join between two changes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from cachetools import LRUCache

from web.live.ws_frames import Frame
from web.readmodel.subscriptions import Subscription

#: Subscriptions whose latest snapshot is kept: a dashboard's and its like. A snapshot of 1,000 jobs is about 1 MB.
_KEPT = 4
#: Longest use of a snapshot, seconds: its estimates of the time left grow old.
_FRESH_S = 5.0


class Snapshot(NamedTuple):
    """All subscribed jobs at one moment, and the sequence number of the last change in them."""

    frames: list[Frame]
    seq: int


@dataclass
class _Shared:
    task: asyncio.Task[Snapshot]
    version: int
    until: float
    #: Clients that wait for it.
    waiting: int = 0


class Snapshots:
    """The latest snapshot of some subscriptions."""

    def __init__(self, read: Callable[[Subscription], Awaitable[Snapshot]], version: Callable[[], int]) -> None:
        """`version` changes with everything that a snapshot contains."""
        self._read, self._version = read, version
        self._shared: LRUCache[Subscription, _Shared] = LRUCache(_KEPT)

    async def get(self, subscription: Subscription) -> Snapshot:
        """A snapshot that has every change up to now; later ones are in the queue of a client that has joined."""
        now = asyncio.get_running_loop().time()
        shared = self._shared.get(subscription)
        if shared is None or shared.version != self._version() or now > shared.until or _has_failed(shared.task):
            task = asyncio.ensure_future(self._read(subscription))
            shared = self._shared[subscription] = _Shared(task, self._version(), now + _FRESH_S)
        return await self._wait(shared)

    async def _wait(self, shared: _Shared) -> Snapshot:
        """Wait for a snapshot; the last client that leaves cancels it."""
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                shared.task.cancel()  # nothing, once it is done


def _has_failed(task: asyncio.Task[Snapshot]) -> bool:
    return task.cancelling() > 0 or (task.done() and (task.cancelled() or task.exception() is not None))
