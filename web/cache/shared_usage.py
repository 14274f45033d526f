"""Lookups and last uses of cached media over all replicas, in Redis. Without Redis each replica has its own."""

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from web.cache.usage import MAX_USES, CacheUsage, Lookups

log = logging.getLogger("kinolog.web")

_EVERY_S = 2.0
_COUNTS, _USED = "kinolog:cache:questions", "kinolog:cache:used"


class SharedCacheUsage:
    """Exchange of one replica's usage with Redis. Redis errors are logged, and the exchange is repeated later."""

    def __init__(self, url: str, timeout_s: float, usage: CacheUsage) -> None:
        self._usage = usage
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        #: Uses up to this time have been sent, seconds since the epoch.
        self._sent_until = 0.0

    async def run(self) -> None:
        """Exchange new lookups every two seconds until cancelled."""
        try:
            while True:
                if any(self._usage.unshared):
                    await self.share()
                await asyncio.sleep(_EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def share(self) -> None:
        """Send this replica's lookups and uses, and fetch the lookups of all replicas."""
        unshared, self._usage.unshared = self._usage.unshared, Lookups()
        uses = {asset_id: at for asset_id, at in self._usage.used_at.items() if at > self._sent_until}
        try:
            counts = await self._exchange(unshared, uses)
        except (RedisError, OSError, TimeoutError) as error:
            self._usage.unshared = Lookups(*map(sum, zip(unshared, self._usage.unshared, strict=True)))
            log.warning("cache lookups cannot be shared", extra={"error": str(error)[:200]})
            return
        self._usage.shared = Lookups(*(int(counts.get(name, 0)) for name in Lookups._fields))
        self._sent_until = max(uses.values(), default=self._sent_until)

    async def learn_uses(self) -> None:
        """Fetch the last use of each asset at any replica."""
        try:
            self._usage.learn(dict(await self._redis.zrange(_USED, 0, -1, withscores=True)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("uses of cached media cannot be shared", extra={"error": str(error)[:200]})

    async def _exchange(self, unshared: Lookups, uses: dict[str, float]) -> dict[str, str]:
        async with self._redis.pipeline(transaction=True) as pipeline:
            for name, more in unshared._asdict().items():
                pipeline.hincrby(_COUNTS, name, more)
            if uses:
                pipeline.zadd(_USED, uses, gt=True)
                pipeline.zremrangebyrank(_USED, 0, -MAX_USES - 1)
            pipeline.hgetall(_COUNTS)
            counts: dict[str, str] = (await pipeline.execute())[-1]
            return counts
