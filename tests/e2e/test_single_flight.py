"""Fifty jobs on one address over three executors: the origin is asked once, twice when the leader is killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from streams.ports import free_port
from tests.conftest import eventually
from tests.e2e.conftest import SHORT_LEASES
from tests.e2e.system import Api, System
from tests.integration.processors.origin import MEDIA, Origin, answer, listening

JOBS = 50


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with listening() as found:
        yield found


class Held:
    """Answers half until it is let go, or its client is gone; everybody after the first gets all at once."""

    def __init__(self, origin: Origin) -> None:
        self.origin, self.go = origin, asyncio.Event()
        self.first: asyncio.StreamWriter | None = None

    async def __call__(self, writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
        whole = answer(MEDIA, ETag='"v1"')
        if self.first is not None:
            writer.write(whole)
            return
        self.first = writer
        writer.write(whole[:5000])
        while not self.go.is_set() and not self.broken:
            await asyncio.sleep(0.05)
        writer.write(whole[5000:])

    @property
    def broken(self) -> bool:
        """Whether the first client has gone."""
        first = self.first
        return first is not None and (first.transport.is_closing() or self.origin.readers[first].at_eof())


@contextlib.contextmanager
def three_executors(folder: Path, origin: Origin) -> Any:
    """A system with Redis, and two executors more. Yields it and their process ids."""
    port = free_port()
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    own = {
        **SHORT_LEASES,
        "KINOLOG_DOWNLOAD__ALLOW_HOSTS": f"127.0.0.1:{origin.port}",
        "KINOLOG_REDIS__URL": f"redis://127.0.0.1:{port}/0",
        "KINOLOG_REDIS__LEASE_S": "3",
        "KINOLOG_EXECUTOR__SLOTS": '{"download": 20}',
    }
    system = System(folder / "data", **own)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    environ |= {**own, "KINOLOG_DATA_DIR": str(system.data_dir), "KINOLOG_KAFKA__BOOTSTRAP": system.bootstrap}
    with (folder / "executors.log").open("wb") as log:
        more = [
            subprocess.Popen([sys.executable, "-m", "streams.cli", "executor"], env=environ, stdout=log, stderr=log)
            for _ in range(2)
        ]
    try:
        yield system, [process.pid for process in more]
    finally:
        for process in (*more, redis):
            process.kill()
            process.wait()
        assert system.stop() == 0


async def submit_all(api: Api, url: str) -> list[str]:
    items = [{"input": {"url": url}, "pipeline": "cache"} for _ in range(JOBS)]
    status, body = await api.post("/v1/assets", items)
    assert status == 202
    return [item["job_id"] for item in body["data"]]


async def require_all(api: Api, job_ids: list[str]) -> None:
    for job_id in job_ids:
        job = await api.ended(job_id, 90)
        assert job["status"] == "completed", job
        path = job["steps"][0]["outputs"]["object"].removeprefix("assets/")
        async with api.session.get(f"/media/{path}") as reply:
            assert await reply.read() == MEDIA


def executors_ready(folder: Path) -> bool:
    return (folder / "executors.log").read_text().count("executor ready") == 2


@pytest.mark.parametrize("killed", [False, True])
async def test_one_address_over_three_executors_is_asked_for_once(origin: Origin, tmp_path: Path, killed: bool) -> None:
    origin.plays["/a.mp4"] = held = Held(origin)
    running = three_executors(tmp_path, origin)
    system, more = await asyncio.to_thread(running.__enter__)
    try:
        await eventually(lambda: executors_ready(tmp_path), 60)
        async with system.client() as api:
            job_ids = await submit_all(api, origin.url("/a.mp4"))
            await eventually(lambda: held.first is not None, 60)
            for pid in (system.pid("executor"), *more) if killed else ():
                os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(AssertionError):
                    await eventually(lambda: held.broken, 1.5)
                    break
            assert held.broken == killed
            held.go.set()
            await require_all(api, job_ids)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
    assert len(origin.asked) == (2 if killed else 1)
