"""Fifty jobs on one address over three executors: the origin is asked once, twice when the leader is killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.e2e.cache.conftest import Caching
from tests.e2e.system import Api
from tests.integration.processors.fetch.origin import MEDIA, Origin, answer

JOBS = 50


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
            await asyncio.sleep(0.02)
        writer.write(whole[5000:])

    @property
    def broken(self) -> bool:
        """Whether the first client has gone."""
        first = self.first
        return first is not None and (first.transport.is_closing() or self.origin.readers[first].at_eof())

    def leader(self, pids: list[int]) -> int:
        """Which of these processes is the first client."""
        assert self.first is not None
        port = self.first.get_extra_info("peername")[1]
        return next(pid for pid in pids if _holds_port(pid, port))


def _holds_port(pid: int, port: int) -> bool:
    """Whether a process has a TCP connection from this port. Source: proc(5), /proc/net/tcp."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{fields[9]}]" for fields in lines if int(fields[1].rpartition(":")[2], 16) == port}
    held = set()
    for link in list(Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # closed while we looked
            held.add(str(link.readlink()))
    return bool(sockets & held)


@pytest.fixture(scope="module")
def more(around: Caching, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Process ids of two executors beside the one of `kinolog up`, ready: with its data directory they find its log."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    environ |= around.environ
    environ |= {"KINOLOG_DATA_DIR": str(around.system.data_dir)}
    log_path = tmp_path_factory.mktemp("executors") / "log"
    command = [sys.executable, "-m", "streams.cli", "executor"]
    with log_path.open("wb") as log:
        started = [subprocess.Popen(command, env=environ, stdout=log, stderr=log) for _ in range(2)]
    asyncio.run(eventually(lambda: log_path.read_text().count("executor ready") == 2, 60))
    yield [process.pid for process in started]
    for process in started:
        process.kill()
        process.wait()


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


async def test_one_address_over_three_executors_is_asked_for_once(origin: Origin, api: Api, more: list[int]) -> None:
    origin.plays["/a.mp4"] = held = Held(origin)
    job_ids = await submit_all(api, origin.url("/a.mp4"))
    await eventually(lambda: held.first is not None, 60)
    held.go.set()
    await require_all(api, job_ids)
    assert len(origin.asked) == 1


async def test_a_leader_that_is_killed_costs_one_more_and_everybody_gets_it(
    origin: Origin, api: Api, around: Caching, more: list[int]
) -> None:
    origin.plays["/b.mp4"] = held = Held(origin)
    job_ids = await submit_all(api, origin.url("/b.mp4"))
    await eventually(lambda: held.first is not None, 60)
    os.kill(held.leader([around.system.pid("executor"), *more]), signal.SIGKILL)
    await eventually(lambda: held.broken)
    await require_all(api, job_ids)
    assert len(origin.asked) == 2
