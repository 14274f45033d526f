"""The stream of work of a chaos run: jobs of all kinds, cancels, retries, deletions, over both replicas and the log."""

import asyncio
import json
import random
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.ledger import Ledger
from tests.chaos.world import TOKEN, World

#: Longest that one request is tried again; every fault is shorter.
_PATIENCE_S = 75.0
_PAUSE_S = 0.5
#: Between two things that are asked for, seconds, on average.
_EVERY_S = 0.25
#: Answers that ask to be asked again.
_LATER = (429, 503, 507)

#: How often each thing is asked for, relative to the others.
_WEIGHTS = {
    "noop": 30,
    "many": 6,
    "sleepy": 12,
    "failing": 6,
    "missing": 3,
    "upload": 3,
    "broken": 2,
    "cached": 6,
    "again": 3,
    "event": 12,
    "cancel": 14,
    "retry": 10,
    "delete_job": 5,
    "delete_asset": 3,
    "clear": 1,
    "pause": 1,
}


class Load:
    """Asks for things until it is cancelled. What was answered stands in the ledger."""

    def __init__(self, world: World, ledger: Ledger, seed: int, clip: Path) -> None:
        self._world, self._ledger, self._clip = world, ledger, clip
        self._chance = random.Random(f"load {seed}")
        self._jobs: list[tuple[str, str]] = []
        self._number = 0
        self._producer: Any = None
        self._session: aiohttp.ClientSession | None = None

    async def run(self, seconds: float) -> None:
        """Ask for something every now and then for `seconds`; return when all of it is answered or given up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        self._producer = AIOKafkaProducer(bootstrap_servers=self._world.nodes.bootstrap, acks="all")
        try:
            await self._producer.start()
            await self._ask(end)
        finally:
            await self._producer.stop()

    async def _ask(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=20)) as session:
            self._session = session
            async with asyncio.TaskGroup() as group:
                while loop.time() < end:
                    await asyncio.sleep(self._chance.expovariate(1 / _EVERY_S))
                    [name] = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
                    act: Callable[[], Awaitable[None]] = getattr(self, f"_{name}")
                    group.create_task(_awaited(act()))

    async def standard(self, speech: Path) -> None:
        """One upload through the whole default pipeline, models included."""
        await self._upload_file(speech.read_bytes(), "standard")

    # What is asked for

    async def _noop(self) -> None:
        await self._submit({"input": {"object": "x"}, "pipeline": "noop", "priority": self._priority()})

    async def _many(self) -> None:
        count = self._chance.randint(5, 60)
        await self._submit([{"input": {"object": "x"}, "pipeline": "noop"} for _ in range(count)])

    async def _sleepy(self) -> None:
        await self._submit({"input": {"object": "x"}, "pipeline": "sleepy", "priority": self._priority()})

    async def _failing(self) -> None:
        await self._submit({"input": {"object": "x"}, "pipeline": "failing"})

    async def _missing(self) -> None:
        await self._submit({"input": {"object": "nowhere/at-all.mp4"}, "pipeline": "video"})

    async def _upload(self) -> None:
        await self._upload_file(self._clip.read_bytes(), "video")

    async def _broken(self) -> None:
        whole = self._clip.read_bytes()
        await self._upload_file(whole[: self._chance.randrange(1, len(whole))], "video")

    async def _cached(self) -> None:
        url = self._world.origin.url(f"picture-{self._chance.randrange(20)}")
        await self._submit({"input": {"url": url}, "pipeline": "cache"})

    async def _again(self) -> None:
        """A further job on an asset that is there already."""
        if self._jobs:
            asset_id, _ = self._chance.choice(self._jobs)
            await self._submit({"input": {"object": "x"}, "pipeline": "noop", "asset_id": asset_id})

    async def _event(self) -> None:
        """An upload event on the log, without HTTP; twice now and then."""
        name = self._name("event")
        upload = {"input": {"object": "x"}, "asset_id": f"asset-{name}", "pipeline": "noop"}
        about = {"specversion": "1.0", "id": name, "source": "chaos", "type": "media.upload.completed.v1"}
        headers = [(f"ce_{key}", value.encode()) for key, value in about.items()]
        headers.append(("content-type", b"application/json"))
        partition = self._chance.randrange(self._world.settings().partitions)
        for _ in range(self._chance.choice((1, 1, 2))):
            await self._produce("media.uploads", json.dumps(upload).encode(), partition, headers)
        self._ledger.note("submitted", asset_id=f"asset-{name}", job_id=None, status=0)

    async def _cancel(self) -> None:
        await self._on_job("cancel", "POST", "/v1/jobs/{}/cancel")

    async def _retry(self) -> None:
        await self._on_job("retry", "POST", "/v1/jobs/{}/retry")

    async def _delete_job(self) -> None:
        await self._on_job("delete-job", "DELETE", "/v1/jobs/{}")

    async def _delete_asset(self) -> None:
        if self._jobs:
            asset_id, job_id = self._chance.choice(self._jobs)
            self._ledger.note("delete-asset", asset_id=asset_id, job_id=job_id, status=None)
            status, _ = await self._call("DELETE", f"/v1/assets/{asset_id}")
            self._ledger.note("delete-asset", asset_id=asset_id, job_id=job_id, status=status)

    async def _clear(self) -> None:
        self._ledger.note("clear", status=None)
        status, _ = await self._call("POST", "/v1/jobs/clear", json={"status": "failed", "older_than_s": 5})
        self._ledger.note("clear", status=status)

    async def _pause(self) -> None:
        await self._call("POST", "/v1/queues/noop/pause")
        await asyncio.sleep(self._chance.uniform(0.5, 3))
        await self._call("POST", "/v1/queues/noop/resume")

    # How

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"

    def _priority(self) -> str:
        return self._chance.choice(("high", "normal", "normal", "low"))

    async def _submit(self, body: Any) -> None:
        key = self._name("key")
        status, answer = await self._call("POST", "/v1/assets", json=body, headers={"Idempotency-Key": key})
        items = answer.get("data", []) if isinstance(body, list) else [{**answer.get("data", {}), "status": status}]
        for item in items:
            self._accepted(item)

    async def _upload_file(self, content: bytes, pipeline: str) -> None:
        params = {"filename": "clip.mp4", "pipeline": pipeline}
        headers = {"Idempotency-Key": self._name("upload")}
        status, answer = await self._call("POST", "/v1/uploads", params=params, data=content, headers=headers)
        self._accepted({**answer.get("data", {}), "status": status})

    def _accepted(self, item: dict[str, Any]) -> None:
        if item["status"] in (201, 202):
            self._jobs.append((item["asset_id"], item["job_id"]))
            self._ledger.note("submitted", **{name: item[name] for name in ("asset_id", "job_id", "status")})
        else:
            self._ledger.note("refused", **item)

    async def _on_job(self, what: str, method: str, path: str) -> None:
        if self._jobs:
            # Mostly what is new: what has ended long ago cannot be cancelled.
            known = self._jobs[-self._chance.choice((10, 10, 100, 10_000)) :]
            asset_id, job_id = self._chance.choice(known)
            self._ledger.note(what, job_id=job_id, asset_id=asset_id, status=None)
            status, _ = await self._call(method, path.format(job_id))
            self._ledger.note(what, job_id=job_id, asset_id=asset_id, status=status)

    async def _call(self, method: str, path: str, **given: Any) -> tuple[int | None, dict[str, Any]]:
        """Status and body of the first answer that decides, from any replica; None when there was none in time."""
        assert self._session is not None
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            name, url = self._chance.choice(list(self._world.urls.items()))
            try:
                async with self._session.request(method, url + path, **given) as answer:
                    body = await answer.json(content_type=None)
                    if answer.status >= 500:
                        self._ledger.note("answer", replica=name, path=path, status=answer.status, code=body["code"])
                    if answer.status not in _LATER:
                        return answer.status, body
            except (aiohttp.ClientError, TimeoutError):
                pass  # that replica is down: the other one is asked, or it later
            await asyncio.sleep(_PAUSE_S)
        return None, {}

    async def _produce(self, topic: str, value: bytes, partition: int, headers: list[tuple[str, bytes]]) -> None:
        while True:
            try:
                await self._producer.send_and_wait(topic, value, partition=partition, headers=headers)
            except KafkaError:
                await asyncio.sleep(_PAUSE_S)
            else:
                return


async def _awaited(act: Awaitable[None]) -> None:
    await act


def make_clip(path: Path) -> Path:
    """Two seconds of small video with sound."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path
