"""Whose turn it is to add to an upload."""

import asyncio
import time
from pathlib import Path

import pytest

from web.http.problems import Problem
from web.upload_staging import tus_locks
from web.upload_staging.tus_locks import TusTurns
from web.upload_staging.tus_storage import TusFolder, TusUpload


@pytest.fixture
def folder(tmp_path: Path) -> TusFolder:
    found = TusFolder(tmp_path, 60, time.time)
    found.create(TusUpload(id="tus_1", size_bytes=4, asset_id="asset_1", job_id="job_1"))
    return found


async def test_a_newer_request_ends_the_one_that_waits_for_bytes(folder: TusFolder) -> None:
    turns, reading = TusTurns(), asyncio.Event()

    async def read() -> None:
        async with turns.turn(folder, "tus_1"), turns.reading("tus_1", 60):
            reading.set()
            await asyncio.Event().wait()

    older = asyncio.create_task(read())
    await reading.wait()
    async with turns.turn(folder, "tus_1"):
        with pytest.raises(TimeoutError):
            await older


async def test_another_replica_is_waited_for_and_then_let_be(
    folder: TusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tus_locks, "_WAIT_S", 0.05)
    here, there = TusTurns(), TusTurns()
    async with here.turn(folder, "tus_1"):
        with pytest.raises(Problem) as caught:
            async with there.turn(folder, "tus_1"):
                pass
    assert (caught.value.status, caught.value.code) == (409, "upload-in-use")
    async with there.turn(folder, "tus_1"):
        pass


async def test_bytes_after_the_end_of_a_turn_are_not_taken() -> None:
    turns = TusTurns()

    async def read() -> None:
        async with turns.reading("tus_1", 60) as patience:
            patience.renew()
            turns._end("tus_1")
            patience.renew()

    with pytest.raises(TimeoutError):
        await read()


@pytest.mark.parametrize("name", ["tus_2", "../tus_1", ""])
async def test_what_is_no_upload_cannot_be_held(folder: TusFolder, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        async with TusTurns().turn(folder, name):
            pass
