"""Several replicas of web with one Redis: lookups and uses of one count for all."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.redis_server import RedisServer, redis_server
from web.cache.lookups import Lookups
from web.cache.shared_usage import SharedCacheUsage
from web.cache.usage import CacheUsage

Replicas = list[tuple[CacheUsage, SharedCacheUsage]]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def replicas(redis: RedisServer) -> AsyncIterator[Replicas]:
    usages = [CacheUsage() for _ in range(2)]
    replicas = [(usage, SharedCacheUsage(redis.url, 0.5, usage)) for usage in usages]
    yield replicas
    for _, sharing in replicas:
        await sharing.close()


async def test_lookups_at_all_replicas_make_the_hit_ratio(replicas: Replicas) -> None:
    (one, tells), (other, learns) = replicas
    for hit in (True, True, False):
        one.lookups.count("anna", hit=hit)
    other.lookups.count("bert", hit=True)
    await tells.share()
    await learns.share()
    assert (other.lookups.of(None), other.lookups.of(None).hit_ratio) == (Lookups(3, 1), 0.75)
    await tells.share()
    assert one.lookups.of(None) == other.lookups.of(None)
    await learns.share("anna")
    assert other.lookups.of("anna") == one.lookups.of("anna") == Lookups(2, 1)
    await tells.share("bert")
    assert one.lookups.of("bert") == Lookups(1, 0)


async def test_what_was_asked_for_anywhere_is_not_the_longest_unused(replicas: Replicas) -> None:
    (one, tells), (other, learns) = replicas
    one.learn({"asset_a": 50.0, "asset_b": 20.0})
    other.learn({"asset_a": 10.0, "asset_c": 30.0})
    await tells.share()
    await learns.share()
    await learns.learn_uses()
    assert dict(other.used_at) == {"asset_a": 50.0, "asset_b": 20.0, "asset_c": 30.0}


async def test_while_redis_is_away_a_replica_counts_on_and_shares_it_later(
    redis: RedisServer, replicas: Replicas
) -> None:
    (one, tells), (other, learns) = replicas
    one.lookups.count("anna", hit=True)
    await tells.share()
    redis.stop()
    one.lookups.count("anna", hit=False)
    await tells.share()
    await tells.learn_uses()
    assert one.lookups.of("anna") == Lookups(1, 1)
    await redis.start_again()  # empty: what was shared is lost, what was not is shared now

    async def is_shared() -> bool:
        await tells.share()
        await learns.share("anna")
        return other.lookups.of("anna") == Lookups(0, 1)

    await eventually(is_shared)
    assert other.lookups.of("anna") == other.lookups.of(None) == one.lookups.of("anna") == Lookups(0, 1)
