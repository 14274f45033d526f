"""Redis as people run it: a primary that fails over, a cluster, a server that refuses, one that stays away."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from processors.fetch.redis_single_flight import RedisSingleFlight
from processors.fetch.single_flight import CachedDownload
from processors.shared_redis import RedisUnavailable, SharedRedis
from streams.doctor import services
from streams.settings import Settings
from tests.conftest import eventually
from tests.redis_server import RedisServer, redis_cluster, redis_server
from web.cache.lookups import Lookups
from web.cache.shared_usage import SharedCacheUsage
from web.cache.usage import CacheUsage

MakeSettings = Callable[..., Settings]
#: Long enough for a busy machine: nothing here waits for it.
TIMEOUT_S = 10.0


class Address:
    """An address on loopback that leads to one server after another, as a name or a proxy does."""

    def __init__(self, target: RedisServer) -> None:
        self.target = target
        self._forwarding: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to, into = await asyncio.open_connection("127.0.0.1", self.target.port)
        await asyncio.gather(_forward(reader, into), _forward(to, writer))


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def address_of(target: RedisServer) -> AsyncIterator[tuple[Address, str]]:
    address = Address(target)
    async with await asyncio.start_server(address.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield address, f"redis://127.0.0.1:{port}/0"


def flight(url: str, per_host: int = 4) -> RedisSingleFlight:
    return RedisSingleFlight(url, timeout_s=TIMEOUT_S, lease_s=5.0, per_host=per_host, per_s=0)


async def test_after_a_failover_executors_share_at_the_new_primary(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as old, redis_server(tmp_path) as new, address_of(old) as (address, url):
        here, there = flight(url), flight(url)
        async with here.lock("before"):
            await here.keep("before", CachedDownload(at=1.0))
        assert await there.find("before") is not None
        await old.ask("REPLICAOF", "127.0.0.1", str(new.port))
        address.target = new

        async def is_shared() -> bool:
            kept = CachedDownload(at=time.time())
            async with here.lock("after"):
                await here.keep("after", kept)
            return await there.find("after") is not None and bool(await new.ask("KEYS", "*cached:after"))

        await eventually(is_shared)
        await here.close()
        await there.close()


async def test_a_cluster_shares_downloads_and_the_limits_of_their_hosts(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path) as servers:
        here, there = (flight(server.url, per_host=1) for server in servers)
        at_once = most = 0

        async def download(single: RedisSingleFlight, url: str) -> None:
            nonlocal at_once, most
            async with single.lock(url), single.host_slot("media.example"):
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.02)
                await single.keep(url, CachedDownload(at=time.time()))
                at_once -= 1

        urls = [f"url-{n}" for n in range(8)]
        await asyncio.gather(*(download(here if n % 2 else there, url) for n, url in enumerate(urls)))
        assert most == 1
        for url in urls:
            assert await here.find(url) is not None
            assert await there.find(url) is not None
        assert all([await server.ask("KEYS", "*cached:*") for server in servers])
        await here.close()
        await there.close()


async def test_a_cluster_shares_lookups_and_last_uses(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path) as servers:
        usages = [CacheUsage() for _ in servers]
        pairs = zip(servers, usages, strict=True)
        replicas = [SharedCacheUsage(server.url, TIMEOUT_S, usage) for server, usage in pairs]
        for owner in ("anna", "bert", "carl"):
            usages[0].lookups.count(owner, hit=True)
        usages[0].learn({"asset_a": 50.0})
        await replicas[0].share()
        for owner in ("anna", "bert", "carl"):
            await replicas[1].share(owner)
            assert usages[1].lookups.of(owner) == Lookups(1, 0)
        await replicas[1].learn_uses()
        assert dict(usages[1].used_at) == {"asset_a": 50.0}
        for replica in replicas:
            await replica.close()


async def test_the_doctor_knows_a_cluster(tmp_path: Path, make_settings: MakeSettings) -> None:
    async with redis_cluster(tmp_path) as (one, _):
        found = await services.redis(make_settings(KINOLOG_REDIS__URL=one.url))
        assert (found.level, found.message) == ("ok", "Redis is a cluster, and takes writes")


@pytest.mark.parametrize(
    "refusal, remedy",
    [
        (("REPLICAOF", "127.0.0.1", "1"), "the primary"),
        (("CONFIG", "SET", "maxmemory", "1"), "maxmemory-policy"),
        (("ACL", "SETUSER", "default", "resetkeys", "~theirs:*"), "~kinolog:*"),
        (("ACL", "SETUSER", "default", "-eval"), "+@scripting"),
        (("CONFIG", "SET", "requirepass", "secret"), "redis://user:password@host"),
    ],
    ids=["a replica", "no memory", "other keys", "no scripts", "no password"],
)
async def test_the_doctor_says_why_redis_refuses(
    tmp_path: Path, make_settings: MakeSettings, refusal: tuple[str, ...], remedy: str
) -> None:
    async with redis_server(tmp_path) as server:
        settings = make_settings(KINOLOG_REDIS__URL=server.url)
        assert (await services.redis(settings)).level == "ok"
        await server.ask(*refusal)
        found = await services.redis(settings)
        assert found.level == "problem"
        assert "refuses" in found.message and remedy in (found.remedy or "")


async def test_a_redis_that_stays_away_costs_one_line_and_is_used_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "processors.shared_redis")
    async with redis_server(tmp_path) as server:
        shared = SharedRedis(server.url, TIMEOUT_S)
        await shared.query(lambda client: client.ping())
        server.stop()
        with pytest.raises(RedisUnavailable):
            await shared.query(lambda client: client.ping())
        ended = time.monotonic() + 5
        while time.monotonic() < ended:
            with pytest.raises(RedisUnavailable):
                await shared.query(lambda client: client.ping())
            await asyncio.sleep(0.01)
        await server.start_again()

        async def is_back() -> bool:
            with contextlib.suppress(RedisUnavailable):
                return bool(await shared.query(lambda client: client.ping()))
            return False

        await eventually(is_back)
        await shared.close()
    assert [record.message for record in caplog.records] == [
        "redis is not available; each process is on its own",
        "redis is back",
    ]
