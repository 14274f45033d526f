"""A rolling upgrade of a living system: `python -m tests.recorded.upgrade CHECKOUT [--back]`.

Starts web, control and two executors of another checkout on one broker, and replaces them one after another by this
version's (with --back: by the other's again), while jobs are submitted. Then every job must have completed once.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from streams.broker.process import Broker
from streams.process.ports import free_port
from streams.settings import load
from tests.chaos.processes import Service
from tests.e2e.system import JOB_ENDED, Api
from tests.recorded.shown import ENVIRON

_HERE = Path(__file__).parents[2]
_PARTS = {"web": ("web",), "control": ("control",), "x-1": ("executor",), "x-2": ("executor",)}
_ENVIRON = {
    **ENVIRON,
    "KINOLOG_KAFKA__PORT": "0",
    "KINOLOG_KAFKA__ANONYMOUS": "all",
    "KINOLOG_EXECUTOR__DRAIN_S": "3",
    "KINOLOG_LEASE__TTL_S": "6",
    "KINOLOG_LEASE__HEARTBEAT_S": "1",
}


class Rollout:
    """A system whose parts are of either version."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._folder = folder
        self._port, token = free_port(), secrets.token_urlsafe(18)
        own = {"KINOLOG_DATA_DIR": str(folder / "data"), "KINOLOG_KAFKA__BOOTSTRAP": bootstrap}
        self._environ = _ENVIRON | own | {"KINOLOG_WEB__PORT": str(self._port), "KINOLOG_AUTH__TOKEN": token}
        self._headers = {"Authorization": f"Bearer {token}"}
        self._parts: dict[str, Service] = {}
        self.jobs: list[str] = []

    async def apply_topics(self, code: Path) -> None:
        """`kinolog topics apply`."""
        command = [sys.executable, "-m", "streams.cli", "topics", "apply"]
        process = await asyncio.create_subprocess_exec(
            *command, env=self._of(code), cwd=code, stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0

    async def replace(self, name: str, code: Path) -> None:
        """End a part with SIGTERM, and start it from `code`."""
        if name in self._parts:
            ended = await self._parts.pop(name).retire()
            assert ended == 0, f"{name} ended with {ended}: see {self._folder}"
        argv = [sys.executable, "-m", "streams.cli", *_PARTS[name]]
        environ = self._of(code) | ({"KINOLOG_EXECUTOR__NAME": name} if name.startswith("x") else {})
        service = Service(name, ["env", "-C", str(code), *argv], environ, self._folder / f"{name}.log")
        await service.start()
        self._parts[name] = service

    async def close(self) -> None:
        """End all parts."""
        for service in self._parts.values():
            await service.retire()

    async def submit(self, count: int, pipeline: str) -> None:
        """Submit jobs; web may be starting."""
        for _ in range(count):
            body = {"input": {"object": "none"}, "pipeline": pipeline}
            async with asyncio.timeout(60), aiohttp.ClientSession(self._url, headers=self._headers) as session:
                while True:
                    try:
                        status, answer = await Api(session).post("/v1/assets", body)
                        if status == 202:
                            break
                    except (aiohttp.ClientError, OSError):
                        pass
                    await asyncio.sleep(0.2)
            self.jobs.append(answer["data"]["job_id"])

    async def some_end(self, count: int) -> None:
        """Wait until so many jobs have ended."""
        async with asyncio.timeout(120):
            while sum(job["status"] in JOB_ENDED for job in await self.shown()) < count:
                await asyncio.sleep(0.3)

    async def shown(self) -> list[dict[str, Any]]:
        """Jobs as web shows them; none while it starts."""
        async with aiohttp.ClientSession(self._url, headers=self._headers) as session:
            try:
                return list(await Api(session).get("/v1/jobs", limit="500"))
            except (aiohttp.ClientError, AssertionError):
                return []

    async def wrong(self) -> list[str]:
        """Jobs that are missing, did not complete, or did it twice."""
        jobs = {job["id"]: job for job in await self.shown()}
        found = [f"{job_id} is missing" for job_id in self.jobs if job_id not in jobs]
        found += [f"{job_id} {job['status']}" for job_id, job in jobs.items() if job["status"] != "completed"]
        async with aiohttp.ClientSession(self._url, headers=self._headers) as session:
            for job_id in jobs:
                types = Counter(event["type"] for event in await Api(session).get(f"/v1/jobs/{job_id}/events"))
                repeated = {name: count for name, count in types.items() if count > 1 and name.endswith("completed.v1")}
                found += [f"{job_id} {repeated}"] if repeated or not types else []
        return found

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _of(self, code: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
        return inherited | self._environ | {"PYTHONPATH": str(code)}


async def _upgrade(rollout: Rollout, other: Path, *, back: bool) -> None:
    await rollout.apply_topics(other)
    for part in _PARTS:
        await rollout.replace(part, other)
    for code in [_HERE, *([other] if back else [])]:
        await rollout.apply_topics(code)
        for part in _PARTS:
            before = len(rollout.jobs)
            await rollout.submit(3, "slow")
            await rollout.submit(12, "noop")
            await rollout.replace(part, code)
            await rollout.some_end(before)
        print(f"all parts are of {code}; {len(rollout.jobs)} jobs", flush=True)
    await rollout.some_end(len(rollout.jobs))


async def main() -> int:
    """Upgrade once; 0, or 1 when something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of the version before")
    parser.add_argument("--back", action="store_true", help="go back to it")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kinolog-upgrade-"))
    base = {**_ENVIRON, "KINOLOG_DATA_DIR": str(folder / "data")}
    async with AsyncExitStack() as stack:
        broker = Broker(load(base))
        await broker.start()
        stack.push_async_callback(broker.stop)
        await broker.wait_ready()
        rollout = Rollout(folder, broker.bootstrap)
        stack.push_async_callback(rollout.close)
        await _upgrade(rollout, options.checkout.resolve(), back=options.back)
        wrong = await rollout.wrong()
    print(json.dumps({"jobs": len(rollout.jobs), "wrong": wrong, "logs": str(folder)}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
