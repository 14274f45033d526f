"""`kinolog up` on a disk that one upload would fill: `python -m tests.e2e.on_a_small_disk FOLDER`.

In a process with mounts of its own. Prints what it saw as JSON.
"""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from agents.executor.execution import execute
from processors.contract import Work
from processors.storage.disk_reserve import DiskReserve
from processors.storage.local_store import LocalStore
from schemas.step_events import AttemptFailed
from tests.chaos import disks
from tests.e2e.system import Api, System
from tests.power_cut import Disk, can_cut
from tests.unit.agents.executor.fakes import PLAIN, FakeProcessor, attempt_for, request, resources_below
from web.upload_staging.tus_storage import TusStorage, TusUpload

_DISK_MB = 600
_MEGABYTE = b"\0" * 1024**2
_TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(_DISK_MB):
        yield _MEGABYTE


async def _status(session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> int:
    """0 where the connection ends before the response could be read."""
    try:
        async with session.request(method, path, **options) as response:
            await response.read()
            return response.status
    except aiohttp.ClientError:
        return 0


async def _uploads(session: aiohttp.ClientSession) -> dict[str, int]:
    """The status of uploads that are larger than the disk, by the way they come."""
    size = _DISK_MB * len(_MEGABYTE)
    announced = {"Upload-Length": str(size), "Tus-Resumable": "1.0.0"}
    async with session.post("/v1/uploads/tus", headers={"Upload-Defer-Length": "1", "Tus-Resumable": "1.0.0"}) as made:
        location = made.headers["Location"]
    return {
        "announced": await _status(session, "POST", "/v1/uploads", data=b"x", headers={"Content-Length": str(size)}),
        "streamed": await _status(session, "POST", "/v1/uploads", data=_endless()),
        "tus announced": await _status(session, "POST", "/v1/uploads/tus", headers=announced),
        "tus streamed": await _status(session, "PATCH", location, headers=_TUS, data=_endless()),
        "tus offset": await _offset(session, location),
    }


async def _offset(session: aiohttp.ClientSession, location: str) -> int:
    async with session.head(location, headers={"Tus-Resumable": "1.0.0"}) as response:
        return int(response.headers["Upload-Offset"])


async def _system(folder: Path) -> dict[str, Any]:
    system = System(folder / "data")
    broker = system.pid("broker")
    try:
        async with system.client() as api:
            uploads = await _uploads(api.session)
            job = await _noop(api)
            missing = DiskReserve(1024**3).missing_bytes(folder)
            return {"uploads": uploads, "job": job, "broker lives": system.pid("broker") == broker, "missing": missing}
    finally:
        system.stop()


async def _noop(api: Api) -> str:
    _, body = await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"})
    return str((await api.ended(body["data"]["job_id"]))["status"])


async def _attempt(folder: Path) -> str:
    """The end of an attempt that writes without end."""

    async def write(work: Work) -> None:
        with (work.scratch / "endless").open("wb") as file:
            while True:
                await asyncio.to_thread(file.write, _MEGABYTE)
                await asyncio.sleep(0.01)

    resources = resources_below(folder)._replace(reserve=DiskReserve(1024**3))
    assert isinstance(resources.store, LocalStore)
    await resources.store.put("uploads/none", _endless_of(1), 10)
    message = await execute(attempt_for(request(step=PLAIN.name), PLAIN), FakeProcessor(write), resources)
    return message.error.code if isinstance(message, AttemptFailed) else type(message).__name__


async def _endless_of(count: int) -> AsyncIterator[bytes]:
    yield b"x" * count


def _given_up(folder: Path) -> list[str]:
    """Which of three incomplete uploads are deleted once the disk has only its reserve left."""
    shutil.rmtree(folder / "data")
    times = iter(range(100, 1000))
    uploads = TusStorage(folder / "tus", 10**9, lambda: float(next(times)), DiskReserve(1024**3))
    for name in ("tus_a", "tus_b", "tus_c"):
        uploads.create(TusUpload(id=name, size_bytes=10**8, asset_id=name, job_id=name))
        uploads.append(name, _MEGABYTE * 40)
    while DiskReserve(1024**3).missing_bytes(folder) <= 0:
        with (folder / "filler").open("ab") as file:
            file.write(_MEGABYTE)
            file.flush()
    return [upload.id for upload in uploads.give_up()]


def main(folder: Path) -> None:
    if not (disks.private_mounts() and can_cut(folder / "trial")):
        sys.stdout.write(json.dumps(None))
        return
    disk = Disk(folder / "image", folder / "disk", _DISK_MB)
    seen = asyncio.run(_system(disk.folder))
    seen["attempt"] = asyncio.run(_attempt(disk.folder))
    seen["given up"] = _given_up(disk.folder)
    disk.unplug()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
