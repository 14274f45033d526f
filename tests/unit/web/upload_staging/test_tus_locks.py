"""One request at a time adds to an upload, the newest."""

import asyncio
import time
from pathlib import Path

import pytest

from web.http.problems import Problem
from web.upload_staging import tus_locks
from web.upload_staging.tus_locks import TusLocks
from web.upload_staging.tus_storage import TusStorage, TusUpload


@pytest.fixture
def storage(tmp_path: Path) -> TusStorage:
    found = TusStorage(tmp_path, 60, time.time)
    found.create(TusUpload(id="tus_1", size_bytes=4, asset_id="asset_1", job_id="job_1"))
    return found


async def test_a_newer_request_ends_the_one_that_waits_for_bytes(storage: TusStorage) -> None:
    locks, reading = TusLocks(), asyncio.Event()

    async def read() -> None:
        async with locks.locked(storage, "tus_1"), locks.reading("tus_1", 60):
            reading.set()
            await asyncio.Event().wait()

    older = asyncio.create_task(read())
    await reading.wait()
    async with locks.locked(storage, "tus_1"):
        with pytest.raises(TimeoutError):
            await older


async def test_another_replica_is_waited_for_and_then_let_be(
    storage: TusStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_locks, "_WAIT_S", 0.05)
    here, there = TusLocks(), TusLocks()
    async with here.locked(storage, "tus_1"):
        with pytest.raises(Problem) as caught:
            async with there.locked(storage, "tus_1"):
                pass
    assert (caught.value.status, caught.value.code) == (409, "upload-in-use")
    async with there.locked(storage, "tus_1"):
        pass


async def _read_on(locks: TusLocks, seconds: float) -> None:
    """A request that is overtaken, and goes on to receive bytes."""
    async with locks.reading("tus_1", 60) as timeout:
        timeout.renew()
        locks._end("tus_1")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            timeout.renew()
            await asyncio.sleep(0.01)


async def test_a_request_that_is_overtaken_may_come_to_its_end() -> None:
    await _read_on(TusLocks(), 0.0)


async def test_a_request_that_is_overtaken_takes_no_bytes_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tus_locks, "_GRACE_S", 0.05)
    with pytest.raises(TimeoutError):
        await _read_on(TusLocks(), 30.0)


@pytest.mark.parametrize("name", ["tus_2", "../tus_1", ""])
async def test_an_unknown_upload_cannot_be_locked(storage: TusStorage, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        async with TusLocks().locked(storage, name):
            pass


def test_an_owner_with_too_many_incomplete_uploads_gets_no_more_and_others_do() -> None:
    locks = TusLocks()
    for _ in range(3):
        locks.require_room("anna", 3)
        locks.incomplete["anna"] += 1
    with pytest.raises(Problem) as caught:
        locks.require_room("anna", 3)
    assert (caught.value.status, caught.value.code) == (429, "too-many-uploads")
    locks.require_room("bert", 3)
    locks.note_removed("anna")
    locks.require_room("anna", 3)
