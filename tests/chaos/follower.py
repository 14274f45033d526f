"""A dashboard: one websocket per replica that resumes with its cursor and keeps what it was told."""

import asyncio
import contextlib
from typing import Any

import aiohttp

from tests.chaos.sightings import Sightings

_AGAIN_S = 0.5


class Dashboard:
    """Every job as the live frames of one replica tell it to a token."""

    def __init__(self, url: str, token: str, sightings: Sightings | None = None) -> None:
        self._url, self._token, self._sightings = url, token, sightings
        self._cursor: str | None = None
        self.jobs: dict[str, dict[str, Any]] = {}
        #: Frames seen, by type.
        self.frames: dict[str, int] = {}

    async def run(self) -> None:
        """Follow until cancelled, whatever happens to the replica."""
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    await self._follow(session)
                await asyncio.sleep(_AGAIN_S)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        params = {"subscribe": "all", **({"cursor": self._cursor} if self._cursor else {})}
        async with session.ws_connect(
            f"{self._url}/v1/live", params=params, heartbeat=5.0, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(5.0)
        ) as socket:
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    if self._sightings is not None:
                        self._sightings.note(self._token, "a live frame", message.data)
                    self._take(message.json())

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        self.frames[kind] = self.frames.get(kind, 0) + 1
        if kind == "snapshot":
            self.jobs = (self.jobs if frame["part"] > 1 else {}) | {job["id"]: job for job in frame["jobs"]}
        elif kind == "job":
            self.jobs[frame["job"]["id"]] = frame["job"]
        elif kind == "deleted":
            self.jobs.pop(frame["job_id"], None)
        self._cursor = frame.get("cursor") or self._cursor
