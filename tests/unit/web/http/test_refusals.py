"""A client that asks again and again after 429 waits for the response; nobody else does."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.http import problems
from web.http.fair_semaphore import CALLER
from web.http.requests_at_once import requests_limit, sent
from web.http.token_bucket import Buckets


async def test_the_first_refusals_come_at_once_and_further_ones_of_that_caller_take_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(problems, "_PROMPT_BURST", 3.0)
    monkeypatch.setattr(problems, "_PROMPT_PER_S", 0.001)
    monkeypatch.setattr(problems, "_TOO_MANY_S", 600.0)

    async def refuse(request: web.Request) -> web.Response:
        CALLER.set(request.headers["caller"])
        raise problems.Problem(int(request.query["status"]), "some-code", "no")

    app = web.Application(middlewares=[sent(requests_limit(0)), problems.problems])
    app[problems.ERROR_TABLE] = problems.HTTP_ERRORS
    app[problems.REFUSALS] = Buckets()
    app.router.add_get("/", refuse)
    async with TestClient(TestServer(app)) as client:

        async def status(caller: str, code: int = 429) -> int:
            async with client.get("/", params={"status": code}, headers={"caller": caller}) as response:
                return response.status

        assert [await status("anna") for _ in range(3)] == [429] * 3
        waits = asyncio.create_task(status("anna"))
        assert await status("bert") == 429
        assert await status("anna", 404) == 404
        assert not waits.done()
        waits.cancel()
