"""Clients that join at the same time share a snapshot; none gets one that lacks a change."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.unit.web.replica import ALL, Replica, replica_below
from tests.unit.web.rows import a_job, a_step
from web.live.snapshots import Snapshot, Snapshots
from web.live.ws_frames import Frame
from web.readmodel.subscriptions import Subscription


@pytest_asyncio.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica_below(tmp_path) as started:
        yield started


class Reads:
    """Counts reads; each ends when `go` is set."""

    def __init__(self) -> None:
        self.count, self.version, self.go, self.cancelled = 0, 0, asyncio.Event(), 0
        self.go.set()

    async def read(self, _subscription: Subscription) -> Snapshot:
        self.count += 1
        number = self.count
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if number == 1 and self.version == -1:
            raise OSError("the disk is gone")
        return Snapshot([Frame(b"\x81\x01%d" % number)], number)

    def shared(self) -> Snapshots:
        return Snapshots(self.read, lambda: self.version)


async def test_three_hundred_clients_cost_one_snapshot() -> None:
    reads = Reads()
    snapshots = reads.shared()
    found = await asyncio.gather(*(snapshots.get(ALL) for _ in range(300)))
    assert reads.count == 1
    assert len({id(snapshot.frames[0].wire) for snapshot in found}) == 1


async def test_after_a_change_a_client_gets_a_new_one() -> None:
    reads = Reads()
    snapshots = reads.shared()
    await snapshots.get(ALL)
    reads.version += 1
    assert (await snapshots.get(ALL)).seq == 2


async def test_owners_do_not_share() -> None:
    reads = Reads()
    snapshots = reads.shared()
    await snapshots.get(ALL)
    await snapshots.get(Subscription(ALL.topics, "anna"))
    await snapshots.get(Subscription(ALL.topics, "bert"))
    assert reads.count == 3


async def test_a_read_that_failed_is_tried_again() -> None:
    reads = Reads()
    snapshots = reads.shared()
    reads.version = -1
    with pytest.raises(OSError, match="the disk is gone"):
        await snapshots.get(ALL)
    assert (await snapshots.get(ALL)).seq == 2


async def test_a_read_goes_on_while_one_client_waits_and_ends_with_the_last() -> None:
    reads = Reads()
    reads.go.clear()
    snapshots = reads.shared()
    one, two = (asyncio.ensure_future(snapshots.get(ALL)) for _ in range(2))
    await _until(lambda: reads.count == 1)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    assert reads.cancelled == 0
    two.cancel()
    await _until(lambda: reads.cancelled == 1)
    reads.go.set()
    assert (await snapshots.get(ALL)).seq == 2


async def test_a_client_never_gets_a_snapshot_from_before_a_change(replica: Replica) -> None:
    await replica.write(a_job(1))
    assert list((await replica.listen()).jobs) == ["job_000001"]
    await replica.write(a_job(2))
    assert set((await replica.listen()).jobs) == {"job_000001", "job_000002"}
    await replica.write("job_000001")
    assert set((await replica.listen()).jobs) == {"job_000002"}


async def test_a_client_never_gets_a_snapshot_from_before_a_pause(replica: Replica) -> None:
    await replica.write(a_job(1, steps=(a_step("transcode", requested_at=1.0),)))
    before = await replica.listen()
    assert before.jobs["job_000001"]["steps"][0].get("paused") is None
    replica.hub.leave(before.client)
    await replica.pause("transcode")
    after = await replica.listen()
    assert after.jobs["job_000001"]["steps"][0]["paused"] is True


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
