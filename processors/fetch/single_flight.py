"""Single-flight downloads: one download per URL at a time; concurrent requests wait and reuse its result.

In one process this is a lock and a cache. With Redis (processors/fetch/redis_single_flight.py) it spans all executors.
Losing an entry costs at most a repeated download: entries only refer to complete objects.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from cachetools import LRUCache

from schemas.base import ErrorRecord
from schemas.download import DownloadOutputs

#: Cached results.
_MAX_ENTRIES = 10_000


class CachedDownload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Result of the last download of a URL."""

    #: Time of the result, seconds since the epoch.
    at: float
    outputs: DownloadOutputs | None = None
    error: ErrorRecord | None = None


class SingleFlight(Protocol):
    """Single-flight per URL, and rate limits per host. `url_key`: digest of a URL."""

    def lock(self, url_key: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold the lock of a URL; waits for its holder."""
        ...

    async def find(self, url_key: str) -> CachedDownload | None:
        """The last result of a URL."""
        ...

    async def keep(self, url_key: str, entry: CachedDownload) -> None:
        """Store the result of the download whose lock is held."""
        ...

    def host_slot(self, host: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold one of a host's download slots; waits for a free one and for the rate limit."""
        ...


@dataclass
class _Host:
    slots: asyncio.Semaphore
    users: int = 0
    next_at: float = 0.0


@dataclass
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class LocalSingleFlight:
    """Single-flight within one process. `per_s`: new downloads from one host per second; 0: unlimited."""

    def __init__(self, per_host: int, per_s: float) -> None:
        self._per_host, self._per_s = per_host, per_s
        self._locks: dict[str, _Lock] = {}
        self._hosts: dict[str, _Host] = {}
        self._entries: LRUCache[str, CachedDownload] = LRUCache(_MAX_ENTRIES)

    @contextlib.asynccontextmanager
    async def lock(self, url_key: str) -> AsyncIterator[None]:
        """See SingleFlight."""
        held = self._locks.setdefault(url_key, _Lock())
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                self._locks.pop(url_key, None)

    async def find(self, url_key: str) -> CachedDownload | None:
        """See SingleFlight."""
        return self._entries.get(url_key)

    async def keep(self, url_key: str, entry: CachedDownload) -> None:
        """See SingleFlight."""
        self._entries[url_key] = entry

    @contextlib.asynccontextmanager
    async def host_slot(self, host: str) -> AsyncIterator[None]:
        """See SingleFlight."""
        held = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._per_host)))
        held.users += 1
        try:
            async with held.slots:
                await asyncio.sleep(self._pause_s(held))
                yield
        finally:
            held.users -= 1
            if not held.users and held.next_at <= time.monotonic():
                self._hosts.pop(host, None)

    def _pause_s(self, held: _Host) -> float:
        if not self._per_s:
            return 0.0
        now = time.monotonic()
        starts_at = max(now, held.next_at)
        held.next_at = starts_at + 1 / self._per_s
        return starts_at - now
