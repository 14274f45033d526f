"""Who downloads what: one at a time for each address, everybody else waits and takes what came of it.

In one process this is a lock and a table. With Redis (processors/fetch/redis_single_flight.py) it holds over all
executors. Losing what is kept here costs a repeated download at most: an entry only ever points at a whole object.
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

#: Addresses that are remembered.
_MAX_ENTRIES = 10_000


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of the last download of an address."""

    #: When that was known, seconds since the epoch.
    at: float
    outputs: DownloadOutputs | None = None
    error: ErrorRecord | None = None


class Flights(Protocol):
    """Single-flight and manners."""

    def flight(self, address: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold the right to download `address` (its digest). Waits for whoever has it."""
        ...

    async def find(self, address: str) -> Entry | None:
        """What is known of an address."""
        ...

    async def keep(self, address: str, entry: Entry) -> None:
        """Remember what came of the flight that is being held."""
        ...

    def turn(self, host: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold one of a host's places. Waits for one, and for the pace."""
        ...


@dataclass
class _Host:
    places: asyncio.Semaphore
    users: int = 0
    next_at: float = 0.0


@dataclass
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class LocalFlights:
    """Flights of one process. `per_s`: downloads from one host that may begin in a second; 0: any number."""

    def __init__(self, per_host: int, per_s: float) -> None:
        self._per_host, self._per_s = per_host, per_s
        self._locks: dict[str, _Lock] = {}
        self._hosts: dict[str, _Host] = {}
        self._entries: LRUCache[str, Entry] = LRUCache(_MAX_ENTRIES)

    @contextlib.asynccontextmanager
    async def flight(self, address: str) -> AsyncIterator[None]:
        """See Flights."""
        held = self._locks.setdefault(address, _Lock())
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                self._locks.pop(address, None)

    async def find(self, address: str) -> Entry | None:
        """See Flights."""
        return self._entries.get(address)

    async def keep(self, address: str, entry: Entry) -> None:
        """See Flights."""
        self._entries[address] = entry

    @contextlib.asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """See Flights."""
        held = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._per_host)))
        held.users += 1
        try:
            async with held.places:
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
