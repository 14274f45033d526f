"""The store of every other chaos run: an S3 server of its own, and a proxy before it that can be made to fail."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import aiohttp

from streams.process.ports import free_port
from tests.bucket import BUCKET, Faults, environ, faulty, make_bucket
from tests.chaos.processes import Service

_READY_S = 60.0
_CALM = {"broken": 0, "slow_down": 0, "slow": 0, "cut": 0}
#: Of requests: every third is slow or refused; of objects read, every other one is cut off.
_BAD = {"broken": 4, "slow_down": 3, "slow": 5, "cut": 2}
#: Nothing goes through.
_DOWN = {**_CALM, "broken": 1}


class Bucket:
    """One bucket. Nothing runs before `start`."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        self._server = Service("bucket", argv, os.environ, folder / "bucket.log")
        self._open = contextlib.AsyncExitStack()
        self._proxy: Faults | None = None
        self._address = ""

    @property
    def url(self) -> str:
        """As KINOLOG_STORE__URL has it."""
        return f"s3://{BUCKET}"

    @property
    def environ(self) -> dict[str, str]:
        """What reaches it, by way of the proxy."""
        return environ(self._address)

    async def start(self) -> None:
        """Return when it takes objects."""
        await self._server.start()
        async with asyncio.timeout(_READY_S):
            while not await self._answers():
                await asyncio.sleep(0.2)
        self._address, self._proxy = await self._open.enter_async_context(faulty(self._direct, **_CALM))

    @property
    def _direct(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _answers(self) -> bool:
        try:
            await make_bucket(self._direct)
        except aiohttp.ClientError:
            return False
        return True

    async def fail(self, seconds: float, *, wholly: bool) -> None:
        """Answer badly for `seconds`: every request, or many."""
        assert self._proxy is not None
        self._proxy.every = _DOWN if wholly else _BAD
        await asyncio.sleep(seconds)
        self._proxy.every = _CALM

    async def listed(self) -> AsyncIterator[str]:
        """The key of every object."""
        after = ""
        async with aiohttp.ClientSession() as session:
            while True:
                query = {"list-type": "2", "start-after": after}
                async with session.get(f"{self._direct}/{BUCKET}", params=query) as answer:
                    answer.raise_for_status()
                    found = [str(key.text) for key in ET.fromstring(await answer.text()).iterfind(".//{*}Key")]
                if not found:
                    return
                for after in found:
                    yield after

    async def stop(self) -> None:
        """End it; the objects go with it."""
        await self._open.aclose()
        await self._server.retire()
