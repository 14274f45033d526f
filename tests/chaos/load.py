"""The stream of work of a chaos run: jobs of all kinds, cancels, retries, deletions, over both replicas and the log."""

import asyncio
import contextlib
import random
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tests.chaos.callers import ADMIN, EDITORS, SUBMITTERS, Caller
from tests.chaos.client import Client
from tests.chaos.contests import Contests
from tests.chaos.ledger import Ledger
from tests.chaos.log_load import LogLoad
from tests.chaos.submissions import Submissions, Submitted
from tests.chaos.world import World

#: Between two things that are asked for, seconds, on average.
_EVERY_S = 0.25

Act = Callable[[], Awaitable[None]]


class Load:
    """Asks for things for a while, inside of `connected`. What was answered stands in the ledger."""

    def __init__(self, world: World, ledger: Ledger, seed: int, clip: Path, patience_s: float) -> None:
        self._world, self._ledger, self._clip = world, ledger, clip
        self._chance = random.Random(f"load {seed}")
        self._tasks = asyncio.TaskGroup()
        self._client = Client(world.urls, ledger, self._chance, patience_s)
        self.made = Submissions(self._client, ledger, self._chance, self._tasks.create_task)
        self._log = LogLoad(world, self.made, ledger, self._chance)
        self._contests = Contests(self.made, self._client, ledger, self._chance)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connected to replicas and log; left when everything is answered or given up."""
        await self._client.start()
        try:
            await self._log.start()
            async with self._tasks:
                yield
        finally:
            await self._log.stop()
            await self._client.stop()

    async def run(self, seconds: float) -> None:
        """Ask for something every now and then for `seconds`."""
        weights = self._weights()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self._chance.expovariate(1 / _EVERY_S))
            [act] = self._chance.choices(list(weights), list(weights.values()))
            self._tasks.create_task(_awaited(act()))

    async def standard(self, speech: Path) -> None:
        """One upload through the whole default pipeline, models included."""
        await self.made.upload(ADMIN, speech.read_bytes(), "standard")

    def _weights(self) -> dict[Act, int]:
        """How often each thing is asked for, relative to the others."""
        log, contests = self._log, self._contests
        return {
            self._noop: 30,
            self._many: 6,
            self._sleepy: 12,
            self._failing: 6,
            self._missing: 3,
            self._upload: 3,
            self._broken: 2,
            self._cached: 6,
            self._again: 3,
            log.event: 12,
            log.event_for_another: 4,
            log.event_with_used_id: 2,
            log.command_to_refuse: 3,
            contests.hot: 8,
            contests.contest: 5,
            contests.repeat: 12,
            contests.trespass: 8,
            contests.view_and_write: 8,
            self._cancel: 14,
            self._retry: 10,
            self._delete_job: 5,
            self._delete_asset: 3,
            self._clear: 1,
            self._pause: 1,
        }

    # What is asked for

    async def _noop(self) -> None:
        await self.made.submit(
            self._caller(), {"input": {"object": "x"}, "pipeline": "noop", "priority": self._priority()}
        )

    async def _many(self) -> None:
        count = self._chance.randint(5, 60)
        await self.made.submit(self._caller(), [{"input": {"object": "x"}, "pipeline": "noop"} for _ in range(count)])

    async def _sleepy(self) -> None:
        body = {"input": {"object": "x"}, "pipeline": "sleepy", "priority": self._priority()}
        await self.made.submit(self._caller(), body)

    async def _failing(self) -> None:
        await self.made.submit(self._caller(), {"input": {"object": "x"}, "pipeline": "failing"})

    async def _missing(self) -> None:
        await self.made.submit(self._caller(), {"input": {"object": "nowhere/at-all.mp4"}, "pipeline": "video"})

    async def _upload(self) -> None:
        await self.made.upload(self._caller(), self._clip.read_bytes(), "video")

    async def _broken(self) -> None:
        whole = self._clip.read_bytes()
        await self.made.upload(self._caller(), whole[: self._chance.randrange(1, len(whole))], "video")

    async def _cached(self) -> None:
        url = self._world.origin.url(f"picture-{self._chance.randrange(20)}")
        await self.made.submit(self._caller(), {"input": {"url": url}, "pipeline": "cache"})

    async def _again(self) -> None:
        """A further job on an asset that is there already, if it is still there."""
        if self.made.jobs:
            job = self._chance.choice(self.made.jobs)
            body = {"input": {"object": "x"}, "pipeline": "noop", "asset_id": job.asset_id}
            caller = self._who_may(job)
            # A generated id of an asset that is gone names nothing; an operator's job of it is the operator's. What an
            # owner chose stays the owner's.
            gone = ("asset-of-another-owner",) if caller is ADMIN else ("not-found",)
            await self.made.submit(caller, body, owner=job.owner, may_decline=(*gone, "submission-refused"))

    async def _cancel(self) -> None:
        await self._on_job("cancel", "POST", "/v1/jobs/{}/cancel")

    async def _retry(self) -> None:
        await self._on_job("retry", "POST", "/v1/jobs/{}/retry")

    async def _delete_job(self) -> None:
        await self._on_job("delete-job", "DELETE", "/v1/jobs/{}")

    async def _delete_asset(self) -> None:
        if self.made.jobs:
            job = self._chance.choice(self.made.jobs)
            about = {"asset_id": job.asset_id, "job_id": job.job_id}
            self._ledger.note("delete-asset", **about, status=None)
            status, _ = await self._client.call(self._who_may(job), "DELETE", f"/v1/assets/{job.asset_id}")
            self._ledger.note("delete-asset", **about, status=status)

    async def _clear(self) -> None:
        self._ledger.note("clear", status=None)
        body = {"status": "failed", "older_than_s": 5}
        status, _ = await self._client.call(self._caller(), "POST", "/v1/jobs/clear", json=body)
        self._ledger.note("clear", status=status)

    async def _pause(self) -> None:
        self._ledger.note("pause")
        await self._client.call(ADMIN, "POST", "/v1/queues/noop/pause")
        await asyncio.sleep(self._chance.uniform(0.5, 3))
        await self._client.call(ADMIN, "POST", "/v1/queues/noop/resume")

    # How

    def _caller(self) -> Caller:
        return self._chance.choice(SUBMITTERS)

    def _who_may(self, job: Submitted) -> Caller:
        """The operator, or an editor of the job's owner."""
        return self._chance.choice([ADMIN, *(editor for editor in EDITORS if editor.owner == job.owner)])

    def _priority(self) -> str:
        return self._chance.choice(("high", "normal", "normal", "low"))

    async def _on_job(self, what: str, method: str, path: str) -> None:
        if self.made.jobs:
            # Mostly what is new: what has ended long ago cannot be cancelled.
            job = self._chance.choice(self.made.jobs[-self._chance.choice((10, 10, 100, 10_000)) :])
            about = {"asset_id": job.asset_id, "job_id": job.job_id}
            self._ledger.note(what, **about, status=None)
            status, _ = await self._client.call(self._who_may(job), method, path.format(job.job_id))
            self._ledger.note(what, **about, status=status)


async def _awaited(act: Awaitable[None]) -> None:
    await act


def make_clip(path: Path) -> Path:
    """Two seconds of small video with sound."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path
