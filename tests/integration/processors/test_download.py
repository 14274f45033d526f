"""One download for everybody: several executors' processors against a real origin and a real Redis."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from processors.contract import Work
from processors.download import Download
from processors.errors import ProcessingError
from processors.fetch.fetcher import Fetcher
from processors.fetch.limits import FetchLimits
from processors.fetch.redis_single_flight import RedisSingleFlight
from processors.fetch.single_flight import LocalSingleFlight, SingleFlight
from processors.storage.object_store import ObjectStore, open_store
from schemas.download import DownloadOutputs
from tests.integration.processors.fetch.origin import MEDIA, Origin, answer, listening
from tests.redis_server import RedisServer, redis_server

Eventually = Callable[..., Awaitable[Any]]
LEASE_S = 1.5


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with listening() as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "store").as_uri())


class Executor:
    """What one executor process has for the step."""

    def __init__(
        self, name: str, folder: Path, store: ObjectStore, origin: Origin, single_flight: SingleFlight, **more: float
    ) -> None:
        self.name, self.folder, self.store, self.count, self.single_flight = name, folder, store, 0, single_flight
        limits = FetchLimits(allow_hosts=(f"127.0.0.1:{origin.port}",), timeout_s=20)
        self.step = Download(store, Fetcher(limits), single_flight, more.get("fresh_s", 60.0))

    async def download(self, url: str) -> DownloadOutputs:
        self.count += 1
        scratch = self.folder / f"{self.name}-{self.count}"
        scratch.mkdir()
        prefix = f"assets/asset_{self.name}_{self.count}/download/1-lease"
        return await self.step.process(Work(source=scratch, scratch=scratch, output=scratch, prefix=prefix, url=url))


def over_redis(redis: RedisServer) -> RedisSingleFlight:
    return RedisSingleFlight(redis.url, timeout_s=0.5, lease_s=LEASE_S, per_host=4, per_s=0)


async def content(store: ObjectStore, outputs: DownloadOutputs) -> bytes:
    return b"".join([chunk async for chunk in store.get(outputs.object)])


async def require_all(store: ObjectStore, found: list[DownloadOutputs]) -> None:
    """Each has the media as an object of its own."""
    assert len({outputs.object for outputs in found}) == len(found)
    for outputs in found:
        assert await content(store, outputs) == MEDIA


class Slow:
    """Takes its time, so that others come meanwhile; holds while `held`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        whole = answer(MEDIA, ETag='"v1"')
        writer.write(whole[:5000])
        await writer.drain()
        await asyncio.wait_for(self.go.wait(), 20)
        writer.write(whole[5000:])


@pytest.fixture
async def executors(
    tmp_path: Path, store: ObjectStore, origin: Origin, redis: RedisServer
) -> AsyncIterator[list[Executor]]:
    flights = [over_redis(redis) for _ in range(3)]
    yield [Executor(f"e{n}", tmp_path, store, origin, flight) for n, flight in enumerate(flights)]
    for flight in flights:
        await flight.close()


async def test_fifty_requests_over_three_executors_ask_the_origin_once(
    origin: Origin, store: ObjectStore, executors: list[Executor], eventually: Eventually
) -> None:
    origin.plays["/a"] = slow = Slow()
    running = [asyncio.create_task(executors[n % 3].download(origin.url("/a"))) for n in range(50)]
    await eventually(lambda: origin.asked)
    slow.go.set()
    await require_all(store, await asyncio.gather(*running))
    assert len(origin.asked) == 1


async def test_a_leader_that_dies_costs_one_more_request_and_everybody_gets_it(
    origin: Origin, store: ObjectStore, executors: list[Executor], eventually: Eventually
) -> None:
    origin.plays["/a"] = slow = Slow()
    leading = asyncio.create_task(executors[0].download(origin.url("/a")))
    await eventually(lambda: origin.asked)
    waiting = [asyncio.create_task(executors[1 + n % 2].download(origin.url("/a"))) for n in range(49)]
    # What SIGKILL does: nothing is released, nothing renewed.
    await _die(executors[0], leading)
    slow.go.set()
    await require_all(store, await asyncio.gather(*waiting))
    assert len(origin.asked) == 2


async def _die(executor: Executor, leading: asyncio.Task[Any]) -> None:
    assert isinstance(executor.single_flight, RedisSingleFlight)
    executor.single_flight.__dict__["_query"] = _deaf
    leading.cancel()
    await asyncio.wait([leading])


async def _deaf(*_: Any) -> None:
    return None


@pytest.mark.parametrize("accident", ["killed", "flushed", "paused", "killed and back"])
async def test_a_lost_redis_costs_a_repeated_download_at_most_and_nobody_gets_anything_wrong(
    origin: Origin, executors: list[Executor], redis: RedisServer, eventually: Eventually, accident: str
) -> None:
    origin.plays["/a"] = slow = Slow()
    running = [asyncio.create_task(executors[n % 3].download(origin.url("/a"))) for n in range(12)]
    await eventually(lambda: origin.asked)
    if accident == "flushed":
        await redis.ask("FLUSHALL")
    elif accident == "paused":
        redis.tell(signal.SIGSTOP)
    else:
        redis.stop()
        if accident == "killed and back":
            await redis.start_again()
    slow.go.set()
    await require_all(executors[0].store, await asyncio.gather(*running))
    assert len(origin.asked) <= 3  # each executor for itself at the worst
    if accident == "flushed":
        assert len(origin.asked) <= 2
    if accident == "paused":
        redis.tell(signal.SIGCONT)


async def test_an_older_holder_does_not_write_over_a_newer_one(redis: RedisServer) -> None:
    from processors.fetch.single_flight import CachedDownload

    old, new = over_redis(redis), over_redis(redis)
    outputs = DownloadOutputs(
        object="assets/a/x", size_bytes=1, sha256="0", family="video", kind="MP4", content_type="video/mp4"
    )
    async with old.lock("u"):
        await redis.ask("FLUSHALL")
        async with new.lock("u"):
            await new.keep("u", CachedDownload(at=2.0, outputs=outputs))
        await old.keep("u", CachedDownload(at=1.0))
    third = over_redis(redis)
    found = await third.find("u")
    assert found is not None
    assert found.at == 2.0
    for single_flight in (old, new, third):
        await single_flight.close()


async def test_a_host_is_not_asked_for_more_at_a_time_than_is_polite(
    origin: Origin, tmp_path: Path, store: ObjectStore, redis: RedisServer
) -> None:
    at_once, most = 0, 0

    async def counted(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        writer.write(answer())

    origin.plays = {f"/{n}": counted for n in range(12)}
    flights = [RedisSingleFlight(redis.url, timeout_s=0.5, lease_s=LEASE_S, per_host=2, per_s=0) for _ in range(2)]
    executors = [Executor(f"p{n}", tmp_path, store, origin, flight) for n, flight in enumerate(flights)]
    await asyncio.gather(*(executors[n % 2].download(origin.url(f"/{n}")) for n in range(12)))
    assert 1 <= most <= 2
    for flight in flights:
        await flight.close()


async def test_downloads_from_a_host_begin_at_its_pace_over_all_executors(
    origin: Origin, tmp_path: Path, store: ObjectStore, redis: RedisServer
) -> None:
    began: list[float] = []

    async def timed(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        began.append(time.monotonic())
        writer.write(answer())

    origin.plays = {f"/{n}": timed for n in range(6)}
    flights = [RedisSingleFlight(redis.url, timeout_s=0.5, lease_s=LEASE_S, per_host=9, per_s=20) for _ in range(2)]
    executors = [Executor(f"r{n}", tmp_path, store, origin, flight) for n, flight in enumerate(flights)]
    await asyncio.gather(*(executors[n % 2].download(origin.url(f"/{n}")) for n in range(6)))
    assert max(began) - min(began) >= 0.2  # 5 x 50 ms, less what the first one took to connect
    for flight in flights:
        await flight.close()


async def test_what_was_fetched_is_copied_while_fresh_and_asked_after_when_not(
    origin: Origin, tmp_path: Path, store: ObjectStore
) -> None:
    origin.plays["/a"] = answer(MEDIA, ETag='"v1"')
    fresh, stale = (
        Executor(name, tmp_path, store, origin, LocalSingleFlight(4, 0), fresh_s=fresh_s)
        for name, fresh_s in (("fresh", 60.0), ("stale", -1.0))
    )
    found = [await fresh.download(origin.url("/a")) for _ in range(3)]
    await require_all(store, found)
    assert [outputs.from_cache for outputs in found] == [False, True, True]
    assert len(origin.asked) == 1
    first = await stale.download(origin.url("/a"))
    origin.plays["/a"] = answer(b"", "304 Not Modified")
    second = await stale.download(origin.url("/a"))
    await require_all(store, [first, second])
    assert (second.from_cache, origin.asked[-1][1]["if-none-match"]) == (True, '"v1"')


async def test_an_entry_whose_object_has_gone_is_no_answer(origin: Origin, tmp_path: Path, store: ObjectStore) -> None:
    origin.plays["/a"] = answer(MEDIA, ETag='"v1"')
    executor = Executor("e", tmp_path, store, origin, LocalSingleFlight(4, 0))
    first = await executor.download(origin.url("/a"))
    await store.delete_prefix(first.object)
    second = await executor.download(origin.url("/a"))
    assert await content(store, second) == MEDIA
    assert (len(origin.asked), second.from_cache) == (2, False)


async def test_those_who_wait_for_a_failure_are_told_and_do_not_repeat_it(
    origin: Origin, tmp_path: Path, store: ObjectStore, eventually: Eventually
) -> None:
    async def missing(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        await asyncio.sleep(0.3)
        writer.write(answer(b"", "404 Not Found"))

    origin.plays["/a"] = missing
    executor = Executor("e", tmp_path, store, origin, LocalSingleFlight(4, 0))
    running = [asyncio.create_task(executor.download(origin.url("/a"))) for _ in range(10)]
    found = await asyncio.gather(*running, return_exceptions=True)
    assert {error.record().code for error in found if isinstance(error, ProcessingError)} == {"source-missing"}
    assert len(origin.asked) == 1
