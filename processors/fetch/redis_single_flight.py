"""Flights over all executors, in Redis. Whatever Redis does not do is done by this process alone, within its timeout.

A lease has a fencing token that only grows, also when Redis was emptied: microseconds of its clock. What a holder with
an older token brings is not written over what a newer one brought.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from processors.fetch.single_flight import Entry, LocalFlights

log = logging.getLogger(__name__)

#: How long an address is remembered, seconds; with it goes what points at an object, not the object.
_ENTRY_S = 7 * 86_400
#: Between looks at a lease that another executor holds.
_LOOK_S = 0.05, 0.2
_DOWN = (RedisError, OSError, TimeoutError)
#: After it did not answer it is not asked for so long: one that hangs must not cost every download its timeouts.
_AWAY_S = 2.0

#: KEYS: lease. ARGV: holder, ttl ms. Returns the fencing token, or 0.
_TAKE = """
local held = redis.call('GET', KEYS[1])
if held then return 0 end
local t = redis.call('TIME')
local fence = t[1] * 1000000 + t[2]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence
"""
#: KEYS: lease. ARGV: holder, ttl ms. Returns whether it is (again) the holder's: one that was lost with all is retaken.
_RENEW = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
#: KEYS: entry. ARGV: fencing token, value, ttl s. Returns whether it was written.
_KEEP = """
local known = redis.call('HGET', KEYS[1], 'fence')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'value', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
#: KEYS: places of a host (a sorted set, by their end), when the next may begin. ARGV: holder, ttl ms, places, pause ms.
#: Returns 0 when it has one, milliseconds to wait otherwise.
_TURN = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not mine then
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 100 end
  local at = tonumber(redis.call('GET', KEYS[2]) or '0')
  if at > now then return at - now end
  if tonumber(ARGV[4]) > 0 then redis.call('SET', KEYS[2], now + ARGV[4], 'PX', ARGV[4]) end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return 0
"""


class RedisFlights:
    """Flights that hold over all executors with one Redis. Raises nothing of Redis's: it may be away at any time."""

    def __init__(
        self, url: str, *, timeout_s: float, lease_s: float, per_host: int, per_s: float, prefix: str = "kinolog:"
    ) -> None:
        self._local = LocalFlights(per_host, per_s)
        self._lease_s, self._per_host, self._prefix = lease_s, per_host, prefix
        self._pause_ms = int(1000 / per_s) if per_s else 0
        self._redis: Any = Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._away_until = 0.0
        #: Fencing token of each flight that is held.
        self._fences: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def flight(self, address: str) -> AsyncIterator[None]:
        """See Flights. One of a process asks Redis on behalf of all."""
        async with self._local.flight(address):
            holder, key = secrets.token_hex(8), f"{self._prefix}flight:{address}"
            fence = await self._take(key, holder)
            self._fences[address] = fence
            renewing = asyncio.create_task(self._renew(key, holder)) if fence else None
            try:
                yield
            finally:
                self._fences.pop(address, None)
                if renewing is not None:
                    renewing.cancel()
                    await self._ask(_RELEASE, [key], [holder])

    async def find(self, address: str) -> Entry | None:
        """See Flights. The newer of what this process knows and what Redis knows."""
        own = await self._local.find(address)
        raw = await self._asked(lambda: self._redis.hget(f"{self._prefix}cached:{address}", "value"))
        try:
            shared = msgspec.json.decode(raw, type=Entry) if raw else None
        except msgspec.MsgspecError:  # of another version: as good as nothing
            return own
        return max((entry for entry in (own, shared) if entry is not None), key=lambda entry: entry.at, default=None)

    async def keep(self, address: str, entry: Entry) -> None:
        """See Flights."""
        await self._local.keep(address, entry)
        fence = self._fences.get(address, 0)
        value = msgspec.json.encode(entry)
        await self._ask(_KEEP, [f"{self._prefix}cached:{address}"], [fence, value, _ENTRY_S])

    @contextlib.asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """See Flights."""
        async with self._local.turn(host):
            holder, key = secrets.token_hex(8), f"{self._prefix}host:{host}"
            holding = asyncio.create_task(self._hold_place(key, holder))
            try:
                while wait_ms := await self._place(key, holder):
                    await asyncio.sleep(wait_ms / 1000 * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                yield
            finally:
                holding.cancel()
                await self._asked(lambda: self._redis.zrem(key, holder))

    async def _take(self, key: str, holder: str) -> int:
        """The lease's fencing token; 0 when there is no Redis to have it from."""
        while True:
            fence = await self._ask(_TAKE, [key], [holder, int(self._lease_s * 1000)])
            if fence is None:
                return 0
            if fence:
                return int(fence)
            await asyncio.sleep(random.uniform(*_LOOK_S))  # noqa: S311  no secret

    async def _renew(self, key: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if await self._ask(_RENEW, [key], [holder, int(self._lease_s * 1000)]) == 0:
                # Somebody else downloads it too: wasted work, but both bring the whole.
                log.warning("a download's lease was taken over", extra={"lease": key})
                return

    async def _place(self, key: str, holder: str) -> int:
        arguments = [holder, int(self._lease_s * 1000), self._per_host, self._pause_ms]
        return int(await self._ask(_TURN, [key, f"{key}:next"], arguments) or 0)

    async def _hold_place(self, key: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if await self._asked(lambda: self._redis.zscore(key, holder)) is not None:
                await self._place(key, holder)

    async def _ask(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """What a script answers; None when Redis cannot be asked."""
        return await self._asked(lambda: self._redis.eval(script, len(keys), *keys, *arguments))

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis answers; None when it does not, or did not a moment ago."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return await ask()
        except _DOWN as error:
            self._away_until = time.monotonic() + _AWAY_S
            log.warning("Redis cannot be asked; this process goes on alone", extra={"error": str(error)[:200]})
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
