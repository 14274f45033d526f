"""A burst of one caller waits for its turn, and costs others nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.http import requests_at_once
from web.http.problems import Problem
from web.http.requests_at_once import counted, requests_limit, sent
from web.http.routing import Handler

_MOST = 3


class Site:
    """A server whose requests take as long as `open` is not set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.running: list[str] = []
        self.most = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.running.append(request.headers["caller"])
        self.most = max(self.most, self.running.count("anna"))
        await self.open.wait()
        self.running.remove(request.headers["caller"])
        return web.Response(body=b"x" * int(request.query.get("bytes", "1")))


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return web.Response(status=problem.status)


@pytest.fixture
def site() -> Site:
    return Site()


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[TestClient[Any, Any]]:
    limit = requests_limit(_MOST)
    app = web.Application(
        middlewares=[sent(limit), refusals, counted(limit, lambda request: request.headers["caller"])]
    )
    app.router.add_get("/", site.handle)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest_asyncio.fixture
async def client(site: Site) -> AsyncIterator[TestClient[Any, Any]]:
    async with serving(site) as client:
        yield client


async def test_a_burst_is_served_in_turn_and_others_at_once(site: Site, client: TestClient[Any, Any]) -> None:
    burst = [asyncio.create_task(client.get("/", headers={"caller": "anna"})) for _ in range(20)]
    while site.running.count("anna") < _MOST:
        await asyncio.sleep(0)
    other = asyncio.create_task(client.get("/", headers={"caller": "bert"}))
    while "bert" not in site.running:
        await asyncio.sleep(0)
    site.open.set()
    assert [(await request).status for request in (*burst, other)] == [200] * 21
    assert site.most == _MOST


async def test_a_large_response_holds_its_turn_until_it_is_sent(site: Site, client: TestClient[Any, Any]) -> None:
    site.open.set()
    for _ in range(2 * _MOST):
        response = await client.get("/?bytes=1000000", headers={"caller": "anna"})
        assert len(await response.read()) == 1_000_000


async def test_more_than_may_wait_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_at_once, "_WAITING", 2)
    async with serving(site) as client:
        burst = [asyncio.create_task(client.get("/", headers={"caller": "anna"})) for _ in range(_MOST + 5)]
        done, _ = await asyncio.wait(burst, return_when=asyncio.FIRST_COMPLETED)
        assert {request.result().status for request in done} == {429}
        site.open.set()
        statuses = sorted([(await request).status for request in burst])
        assert statuses == [200] * (_MOST + 2) + [429] * 3
