"""Single-flight downloads across all executors, in Redis. While Redis is down, each process acts alone.

A lease has a fencing token that only increases, also after Redis lost its data: microseconds of its clock. A holder
with an older token does not overwrite the result of a newer one.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from processors.fetch.single_flight import CachedDownload, LocalSingleFlight
from processors.shared_redis import RedisUnavailable, SharedRedis

log = logging.getLogger(__name__)

#: Lifetime of an entry, seconds; the object that it refers to remains.
_ENTRY_S = 7 * 86_400
#: Poll interval for a lease that another executor holds.
_POLL_S = 0.05, 0.2

#: KEYS: lease. ARGV: holder, ttl ms. Returns the fencing token, or 0.
_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
if held then return 0 end
local t = redis.call('TIME')
local fence = t[1] * 1000000 + t[2]
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence
"""
#: KEYS: lease. ARGV: holder, ttl ms. Returns whether the holder has it: after Redis lost its data it is acquired again.
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
#: KEYS: slots of a host (a sorted set by expiry), start time of the next. ARGV: holder, ttl ms, slots, interval ms.
#: Returns 0 if a slot is held, else the milliseconds to wait.
_ACQUIRE_SLOT = """
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


class RedisSingleFlight:
    """Single-flight across all executors with one Redis. Raises no Redis errors: Redis may fail at any time."""

    def __init__(
        self, url: str, *, timeout_s: float, lease_s: float, per_host: int, per_s: float, prefix: str = "kinolog:"
    ) -> None:
        self._local = LocalSingleFlight(per_host, per_s)
        self._lease_s, self._per_host, self._prefix = lease_s, per_host, prefix
        self._pause_ms = int(1000 / per_s) if per_s else 0
        self._redis = SharedRedis(url, timeout_s)
        #: Fencing tokens of held leases.
        self._fences: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def lock(self, url_key: str) -> AsyncIterator[None]:
        """See SingleFlight. One task of the process queries Redis for all."""
        async with self._local.lock(url_key):
            holder, key = secrets.token_hex(8), f"{self._prefix}flight:{url_key}"
            fence = await self._acquire(key, holder)
            self._fences[url_key] = fence
            renewing = asyncio.create_task(self._renew(key, holder)) if fence else None
            try:
                yield
            finally:
                self._fences.pop(url_key, None)
                if renewing is not None:
                    renewing.cancel()
                    await self._eval(_RELEASE, [key], [holder])

    async def find(self, url_key: str) -> CachedDownload | None:
        """See SingleFlight. The newer of the entries of this process and of Redis."""
        own = await self._local.find(url_key)
        raw = await self._query(lambda redis: redis.hget(f"{self._prefix}cached:{url_key}", "value"))
        try:
            shared = msgspec.json.decode(raw, type=CachedDownload) if raw else None
        except msgspec.MsgspecError:  # written by another version
            return own
        return max((entry for entry in (own, shared) if entry is not None), key=lambda entry: entry.at, default=None)

    async def keep(self, url_key: str, entry: CachedDownload) -> None:
        """See SingleFlight."""
        await self._local.keep(url_key, entry)
        fence = self._fences.get(url_key, 0)
        value = msgspec.json.encode(entry)
        await self._eval(_KEEP, [f"{self._prefix}cached:{url_key}"], [fence, value, _ENTRY_S])

    @contextlib.asynccontextmanager
    async def host_slot(self, host: str) -> AsyncIterator[None]:
        """See SingleFlight."""
        async with self._local.host_slot(host):
            holder, key = secrets.token_hex(8), f"{self._prefix}host:{{{host}}}"
            holding = asyncio.create_task(self._keep_slot(key, holder))
            try:
                while wait_ms := await self._acquire_slot(key, holder):
                    await asyncio.sleep(wait_ms / 1000 * random.uniform(0.5, 1.0))  # noqa: S311  no secret
                yield
            finally:
                holding.cancel()
                await self._query(lambda redis: redis.zrem(key, holder))

    async def _acquire(self, key: str, holder: str) -> int:
        """The fencing token of the lease; 0 without Redis."""
        while True:
            fence = await self._eval(_ACQUIRE, [key], [holder, int(self._lease_s * 1000)])
            if fence is None:
                return 0
            if fence:
                return int(fence)
            await asyncio.sleep(random.uniform(*_POLL_S))  # noqa: S311  no secret

    async def _renew(self, key: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if await self._eval(_RENEW, [key], [holder, int(self._lease_s * 1000)]) == 0:
                # Another executor downloads it too: wasted work, but both results are complete.
                log.warning("download lease lost", extra={"lease": key})
                return

    async def _acquire_slot(self, key: str, holder: str) -> int:
        arguments = [holder, int(self._lease_s * 1000), self._per_host, self._pause_ms]
        return int(await self._eval(_ACQUIRE_SLOT, [key, f"{key}:next"], arguments) or 0)

    async def _keep_slot(self, key: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if await self._query(lambda redis: redis.zscore(key, holder)) is not None:
                await self._acquire_slot(key, holder)

    async def _eval(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        """The result of a script; None if Redis is down."""
        return await self._query(lambda redis: redis.eval(script, len(keys), *keys, *arguments))

    async def _query(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """The answer of Redis; None if it is down, or was a moment ago."""
        with contextlib.suppress(RedisUnavailable):
            return await self._redis.query(ask)
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()
