"""Viewers of a chaos run, who only read: lists, details and live frames of their owner's, and probes of others'."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp

from tests.chaos.callers import ADMIN, OWNERS, VIEWERS, Caller
from tests.chaos.follower import Dashboard
from tests.chaos.ledger import Ledger
from tests.chaos.sightings import Sightings
from tests.chaos.submissions import Submitted

#: Between two reads of a viewer, seconds, on average.
_EVERY_S = 0.5
_LISTS = (
    "/v1/jobs?limit=100",
    "/v1/jobs?status=failed&limit=200&sort=-created_at",
    "/v1/jobs?q=planted&limit=100",
    "/v1/jobs?asset_id=asset-contest-1",
    "/v1/assets?limit=200",
    "/v1/assets/asset-hot-1",
    "/v1/jobs/export?format=csv",
    "/v1/jobs/export?format=json",
    "/v1/search?mode=text&q=planted",
    "/v1/stats",
    "/v1/queues",
)
_DETAILS = ("/v1/jobs/{job}", "/v1/jobs/{job}/events", "/v1/assets/{asset}")
_OF_OTHERS = ("/media/{asset}/probe/1-x/x.json", "/v1/jobs?asset_id={asset}", "/v1/live/sse?subscribe=job:{job}")
#: An event stream does not end by itself.
_STREAM_S = 2.0


class Reader:
    """One viewer: reads for a while, from any replica."""

    def __init__(
        self, viewer: Caller, urls: Mapping[str, str], ledger: Ledger, sightings: Sightings, chance: random.Random
    ) -> None:
        self._viewer, self._urls, self._ledger = viewer, list(urls.values()), ledger
        self._sightings, self._chance = sightings, chance

    async def run(self, jobs: Sequence[Submitted]) -> None:
        """Read until cancelled. `jobs`: all that were accepted so far, of whomever."""
        timeout = aiohttp.ClientTimeout(total=20)
        headers = {"Authorization": f"Bearer {self._viewer.token}"}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                await asyncio.sleep(self._chance.expovariate(1 / _EVERY_S))
                job = self._chance.choice(jobs) if jobs else None
                if job is not None and job.owner != self._viewer.owner:
                    await self._probe(session, job)
                else:
                    path = self._chance.choice((*_LISTS, *(_DETAILS if job else ())))
                    await self._read(session, _of(path, job))

    async def _probe(self, session: aiohttp.ClientSession, job: Submitted) -> None:
        """Ask for what is another's, by its id. A 404 may repeat the id, so only the status and markers count."""
        path = _of(self._chance.choice((*_DETAILS, *_OF_OTHERS)), job)
        status, text = await self._get(session, path)
        about = {"asset_id": job.asset_id, "job_id": job.job_id}
        self._ledger.note("probed", by=self._viewer.token, path=path, status=status, **about)
        if status == 200:
            self._sightings.note(self._viewer.token, path, text)

    async def _read(self, session: aiohttp.ClientSession, path: str) -> None:
        _, text = await self._get(session, path)
        self._sightings.note(self._viewer.token, path, text)

    async def _get(self, session: aiohttp.ClientSession, path: str) -> tuple[int | None, str]:
        """Status and text of one response; None: no replica there, or the response broke off."""
        text = ""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(self._chance.choice(self._urls) + path) as answer:
                if answer.content_type != "text/event-stream":
                    return answer.status, await answer.text()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_STREAM_S):
                        async for chunk in answer.content.iter_any():
                            text += chunk.decode(errors="replace")
                return answer.status, text
        return None, text


def _of(path: str, job: Submitted | None) -> str:
    return path.format(job=job.job_id, asset=job.asset_id) if job is not None else path


@contextlib.asynccontextmanager
async def dashboards(urls: Mapping[str, str], sightings: Sightings) -> AsyncIterator[dict[str, Dashboard]]:
    """One of the operator and one of each viewer on each replica: "web-1", "web-1 bert"."""
    owners = {ADMIN: "", **{viewer: f" {owner}" for viewer, owner in zip(VIEWERS, OWNERS, strict=True)}}
    boards = {
        f"{name}{suffix}": Dashboard(url, caller.token, sightings)
        for name, url in urls.items()
        for caller, suffix in owners.items()
    }
    tasks = [asyncio.create_task(board.run()) for board in boards.values()]
    try:
        yield boards
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def readers(
    urls: Mapping[str, str], ledger: Ledger, sightings: Sightings, seed: int, jobs: Sequence[Submitted]
) -> AsyncIterator[None]:
    """Every viewer reads."""
    found = [Reader(viewer, urls, ledger, sightings, random.Random(f"{viewer.token} {seed}")) for viewer in VIEWERS]
    tasks = [asyncio.create_task(reader.run(jobs)) for reader in found]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
