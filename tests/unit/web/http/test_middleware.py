"""Content codings that clients accept, and compression in turns."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from web.http.fair_semaphore import CALLER
from web.http.middleware import compressing, compression_turns, preferred_coding


@pytest.mark.parametrize(
    "accepted, coding",
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("*;q=0", None),
        ("GZIP;Q=1", "gzip"),
        ("br;q=nonsense, gzip", "gzip"),
    ],
)
def test_the_coding_that_the_client_likes_best_is_taken(accepted: str, coding: str | None) -> None:
    assert preferred_coding(accepted) == coding


async def test_large_responses_of_a_caller_are_compressed_one_at_a_time_and_delay_no_other_caller() -> None:
    async def handle(request: web.Request) -> web.Response:
        CALLER.set(request.headers["caller"])
        return web.Response(text="a large text " * 10_000)

    turns = compression_turns()
    app = web.Application(middlewares=[compressing(turns)])
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:

        async def got(caller: str) -> str:
            response = await client.get("/", headers={"caller": caller, "Accept-Encoding": "gzip"})
            assert response.headers["Content-Encoding"] == "gzip"
            return await response.text()

        async with turns.slot("anna"):
            waits = asyncio.create_task(got("anna"))
            assert await got("bert") == "a large text " * 10_000
            assert not waits.done()
        assert await waits == "a large text " * 10_000
