"""A replica that is to end is not ready any more, and serves until load balancers have noticed.

Reports: kubernetes/kubernetes#43576, zalando/skipper#652, traefik/traefik#4452, data-fair/data-fair#473.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from streams.settings import Settings
from tests.conftest import eventually
from web.app import make_app
from web.background.tasks import BROKEN
from web.server import _serve
from web.services import SERVICES

MakeSettings = Callable[..., Settings]


class Served:
    """A replica without a log, as `kinolog web` serves it."""

    def __init__(self, settings: Settings) -> None:
        self.url = f"http://127.0.0.1:{settings.web.port}"
        self.app = make_app(settings)
        self.app.cleanup_ctx.clear()
        self.app[BROKEN] = asyncio.get_running_loop().create_future()
        self.ending = asyncio.create_task(_serve(self.app, settings))

    async def ask(self, path: str, session: aiohttp.ClientSession) -> tuple[int, str, Any]:
        """Status, Connection header and text of the response."""
        async with session.get(self.url + path) as response:
            return response.status, response.headers.get("Connection", ""), await response.text()


@pytest.fixture
async def serve(make_settings: MakeSettings, free_port: Callable[[], int]) -> AsyncIterator[Callable[[str], Served]]:
    started: list[Served] = []

    def start(drain_s: str) -> Served:
        started.append(Served(make_settings(KINOLOG_WEB__PORT=str(free_port()), KINOLOG_WEB__DRAIN_S=drain_s)))
        return started[-1]

    yield start
    for one in started:
        one.ending.cancel()
        await asyncio.gather(one.ending, return_exceptions=True)
        for part in (one.app[SERVICES].model, one.app[SERVICES].index, one.app[SERVICES].event_index):
            part.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def _is_up(served: Served, session: aiohttp.ClientSession) -> bool:
    try:
        return (await served.ask("/healthz", session))[0] == 200
    except aiohttp.ClientError:
        return False


async def test_it_serves_while_it_drains_and_says_that_it_stops(serve: Callable[[str], Served]) -> None:
    served = serve("60")
    async with aiohttp.ClientSession() as session:
        await eventually(lambda: _is_up(served, session), 30)
        assert "stopping" not in (await served.ask("/readyz", session))[2]
        assert (await served.ask("/healthz", session))[1] == ""
        os.kill(os.getpid(), signal.SIGTERM)

        async def says_so() -> bool:
            return "this replica is stopping" in (await served.ask("/readyz", session))[2]

        await eventually(says_so, 30)
        assert (await served.ask("/healthz", session))[:2] == (200, "close")
    async with aiohttp.ClientSession() as another:
        assert (await served.ask("/healthz", another))[0] == 200
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(30):
        assert await served.ending == 0


async def test_it_ends_when_the_time_is_over_or_there_is_none(serve: Callable[[str], Served]) -> None:
    for drain_s in ("0", "0.3"):
        served = serve(drain_s)
        async with aiohttp.ClientSession() as session:
            await eventually(lambda: _is_up(served, session), 30)  # noqa: B023 - of this turn
        at = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await served.ending == 0
        assert time.monotonic() - at >= float(drain_s)
        for part in (served.app[SERVICES].model, served.app[SERVICES].index, served.app[SERVICES].event_index):
            part.close()
