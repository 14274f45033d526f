"""Connections whose client does not read are aborted, those that aiohttp has given up among them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.conftest import eventually
from web.connections.admission import Admission
from web.connections.listener import BoundedSite
from web.connections.patch_connections import BoundedRunner

_BODY = bytes(8 * 1024 * 1024)


@asynccontextmanager
async def _serving(stall_s: float) -> AsyncIterator[tuple[BoundedRunner, int]]:
    async def respond(request: web.Request) -> web.Response:
        if "give-up" in request.query:
            asyncio.get_running_loop().call_later(0.05, request.protocol.force_close)
        return web.Response(body=_BODY)

    app = web.Application()
    app.router.add_get("/", respond)
    runner = BoundedRunner(app, most=100, stall_s=stall_s, admission=Admission(0, 0))
    await runner.setup()
    try:
        await BoundedSite(runner, "127.0.0.1", 0).start()
        yield runner, runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _unread(port: int, path: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return client


async def test_a_connection_that_is_not_read_is_aborted_whether_or_not_it_was_given_up() -> None:
    async with _serving(0.4) as (runner, port):
        clients = [await _unread(port, path) for path in ("/", "/?give-up")]
        try:
            server = runner.server
            assert server is not None
            await eventually(lambda: len(server.connections) == len(clients))
            await eventually(lambda: not server.connections)
        finally:
            for client in clients:
                client.close()
