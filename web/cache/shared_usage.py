"""Lookups and last uses of cached media over all replicas, in Redis. Without Redis each replica has its own."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from processors.shared_redis import RedisUnavailable, SharedRedis
from web.cache.lookups import Lookups
from web.cache.usage import MAX_USES, CacheUsage

_EVERY_S = 2.0
#: Counts of an owner without lookups are dropped after 90 days.
_OWN_COUNTS_S = 90 * 86_400


class SharedCacheUsage:
    """Exchange of one replica's usage with Redis. While Redis is away, the exchange is repeated later."""

    def __init__(self, url: str, timeout_s: float, usage: CacheUsage, prefix: str = "kinolog:") -> None:
        """`prefix`: of all keys."""
        self._usage = usage
        #: Beginning of the keys, with the part that they share: all are exchanged in one transaction.
        self._keys = f"{prefix}{{cache}}:"
        self._used = f"{self._keys}used"
        self._redis = SharedRedis(url, timeout_s, decode=True)
        #: Uses up to this time have been sent, seconds since the epoch.
        self._sent_until = 0.0

    async def run(self) -> None:
        """Exchange new lookups every two seconds until cancelled."""
        try:
            while True:
                if not self._usage.lookups.is_shared:
                    await self.share()
                await asyncio.sleep(_EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.close()

    async def share(self, owner: str | None = None) -> None:
        """Send this replica's lookups and uses, and fetch the lookups of all replicas: of `owner`, and of everybody."""
        lookups = self._usage.lookups
        unshared = lookups.take_unshared()
        uses = {asset_id: at for asset_id, at in self._usage.used_at.items() if at > self._sent_until}
        try:
            learned = await self._redis.query(
                lambda redis: self._exchange(redis, unshared, uses, {*unshared, owner, None})
            )
        except RedisUnavailable:
            lookups.give_back(unshared)
            return
        lookups.learn(learned)
        self._sent_until = max(uses.values(), default=self._sent_until)

    async def learn_uses(self) -> None:
        """Fetch the last use of each asset at any replica."""
        with contextlib.suppress(RedisUnavailable):
            uses = await self._redis.query(lambda redis: redis.zrange(self._used, 0, -1, withscores=True))
            self._usage.learn(dict(uses))

    async def _exchange(
        self,
        redis: Any,
        unshared: Mapping[str | None, Lookups],
        uses: Mapping[str, float],
        fetched: Collection[str | None],
    ) -> dict[str | None, Lookups]:
        async with redis.pipeline(transaction=True) as pipeline:
            for owner, lookups in unshared.items():
                for name, more in lookups._asdict().items():
                    pipeline.hincrby(self._key(owner), name, more)
                if owner is not None:
                    pipeline.expire(self._key(owner), _OWN_COUNTS_S)
            if uses:
                pipeline.zadd(self._used, uses, gt=True)
                pipeline.zremrangebyrank(self._used, 0, -MAX_USES - 1)
            for owner in fetched:
                pipeline.hgetall(self._key(owner))
            counts: list[dict[str, str]] = (await pipeline.execute())[-len(fetched) :]
        return {owner: _lookups(found) for owner, found in zip(fetched, counts, strict=True)}

    def _key(self, owner: str | None) -> str:
        """Of the lookups of everybody, or of an owner."""
        return self._keys + ("questions" if owner is None else f"lookups:{owner}")


def _lookups(counts: Mapping[str, str]) -> Lookups:
    return Lookups(*(int(counts.get(name, 0)) for name in Lookups._fields))
