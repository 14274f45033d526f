"""The Redis that processes share: one server, a primary with replicas, or a cluster. It may lose everything."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisClusterException, RedisError, ResponseError

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Pause after a failure, seconds, so that a hanging Redis does not cost every query its timeouts.
_PAUSE_S = 2.0
#: Seconds between two lines about a Redis that stays away.
_LOG_AGAIN_S = 60.0
#: KEYS: any. What scripts of downloads do: they read the clock, and write.
_CHECK = "redis.call('TIME') redis.call('DEL', KEYS[1]) return 1"
_FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)


class RedisUnavailable(Exception):
    """Redis did not answer, or refused: see the cause. For two seconds nobody asks it again."""


class SharedRedis:
    """Connections to Redis, opened with the first query.

    Keys of one script or transaction must share a part in braces: in a cluster it decides where they are.
    """

    def __init__(self, url: str, timeout_s: float, *, decode: bool = False) -> None:
        """`decode`: whether values are str instead of bytes. Raises ValueError for a URL that is none of Redis."""
        parse_url(url)
        self._url = url
        self._options: dict[str, Any] = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": decode,
        }
        self._client: Redis | RedisCluster | None = None
        self._opening = asyncio.Lock()
        self._paused_until = self._log_again_at = 0.0

    async def query(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        """The answer to what `ask` asks of the client. Raises RedisUnavailable."""
        if time.monotonic() < self._paused_until:
            raise RedisUnavailable("Redis failed a moment ago")
        try:
            answer = await ask(await self._opened())
        except _FAILURES as error:
            self._note(error)
            await self._leave_replica(error)
            raise RedisUnavailable(str(error)[:200]) from error
        if self._log_again_at:
            self._log_again_at = 0.0
            log.info("redis is back")
        return answer

    async def check(self, prefix: str) -> bool:
        """Run a script and a transaction on a key that expires; whether it is a cluster. Raises RedisUnavailable."""
        key = f"{prefix}check"

        async def transaction(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.hincrby(key, "checks", 1).expire(key, 1)
                await pipeline.execute()

        await self.query(lambda client: client.eval(_CHECK, 1, key))
        await self.query(transaction)
        return isinstance(self._client, RedisCluster)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _opened(self) -> Redis | RedisCluster:
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
            return self._client

    async def _open(self) -> Redis | RedisCluster:
        client = Redis.from_url(self._url, **self._options)
        try:
            is_cluster = await _is_cluster(client)
        except BaseException:
            await client.aclose()
            raise
        if not is_cluster:
            return client
        await client.aclose()
        return RedisCluster.from_url(self._url, **self._options)

    async def _leave_replica(self, error: Exception) -> None:
        """Close the connections to a primary that was made a replica: it keeps them, and refuses to write."""
        is_replica = isinstance(error, ReadOnlyError) or "READONLY" in str(error)
        if is_replica and isinstance(self._client, Redis):
            await self._client.connection_pool.disconnect(inuse_connections=False)

    def _note(self, error: Exception) -> None:
        now = time.monotonic()
        self._paused_until = now + _PAUSE_S
        if now >= self._log_again_at:
            self._log_again_at = now + _LOG_AGAIN_S
            log.warning("redis is not available; each process is on its own", extra={"error": str(error)[:200]})


async def _is_cluster(client: Redis) -> bool:
    with contextlib.suppress(ResponseError):  # a server, or an account, without this command
        return (await client.info("cluster")).get("cluster_enabled") == 1
    return False
