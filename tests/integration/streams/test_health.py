"""A container's health check reaches its own process."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams import health
from tests.conftest import MakeSettings


async def test_web_is_healthy_also_where_a_proxy_is_set(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/readyz", ready)
    async with TestServer(app) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        settings = make_settings(KINOLOG_WEB__PORT=str(server.port))
        assert await asyncio.to_thread(health.web_is_ready, settings)
