"""Questions and last uses of cached media over all replicas, in Redis. While it is away, each replica has its own."""

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from web.cache.usage import REMEMBERED, CacheUsage, Questions

log = logging.getLogger("kinolog.web")

_EVERY_S = 2.0
_COUNTS, _USED = "kinolog:cache:questions", "kinolog:cache:used"


class CacheSharing:
    """Between a replica's desk and Redis. Raises nothing of Redis's: what was not told is told the next time."""

    def __init__(self, url: str, timeout_s: float, desk: CacheUsage) -> None:
        self._desk = desk
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        #: Uses up to here were told, seconds since the epoch.
        self._told_until = 0.0

    async def run(self) -> None:
        """Tell what there is to tell, again and again."""
        try:
            while True:
                if any(self._desk.own):
                    await self.share()
                await asyncio.sleep(_EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def share(self) -> None:
        """Tell what was counted here, and learn what all replicas have counted."""
        own, self._desk.own = self._desk.own, Questions()
        uses = {one: at for one, at in self._desk.used_at.items() if at > self._told_until}
        try:
            counts = await self._tell(own, uses)
        except (RedisError, OSError, TimeoutError) as error:
            self._desk.own = Questions(*map(sum, zip(own, self._desk.own, strict=True)))
            log.warning("the cache's questions are not shared now", extra={"error": str(error)[:200]})
            return
        self._desk.told = Questions(*(int(counts.get(name, 0)) for name in Questions._fields))
        self._told_until = max(uses.values(), default=self._told_until)

    async def learn_uses(self) -> None:
        """Learn when each asset was last asked for, wherever that was."""
        try:
            self._desk.learn(dict(await self._redis.zrange(_USED, 0, -1, withscores=True)))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("uses of cached media are not shared now", extra={"error": str(error)[:200]})

    async def _tell(self, own: Questions, uses: dict[str, float]) -> dict[str, str]:
        async with self._redis.pipeline(transaction=True) as together:
            for name, more in own._asdict().items():
                together.hincrby(_COUNTS, name, more)
            if uses:
                together.zadd(_USED, uses, gt=True)
                together.zremrangebyrank(_USED, 0, -REMEMBERED - 1)
            together.hgetall(_COUNTS)
            counts: dict[str, str] = (await together.execute())[-1]
            return counts
