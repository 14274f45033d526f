"""Work for a client that has left is cancelled."""

import asyncio

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.conftest import eventually
from web.http.disconnection import while_connected


class Work:
    """Work without an end."""

    def __init__(self) -> None:
        self.began, self.cancelled = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def test_work_ends_when_its_client_disconnects() -> None:
    work, errors = Work(), list[Exception]()

    async def handle(request: web.Request) -> web.Response:
        try:
            await while_connected(request, work.run())
        except ConnectionResetError as error:
            errors.append(error)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with ClientSession() as session:
        asking = asyncio.create_task(session.request("GET", f"http://{host}:{port}/"))
        await asyncio.wait_for(work.began.wait(), 30)
        assert not work.cancelled.is_set()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(work.cancelled.wait(), 30)
    await eventually(lambda: errors, 30)
    await runner.cleanup()


async def test_a_connected_client_gets_the_result_and_the_error() -> None:
    async def handle(request: web.Request) -> web.Response:
        async def work() -> str:
            await asyncio.sleep(0)
            if "fail" in request.query:
                raise web.HTTPConflict
            return "done"

        return web.Response(text=await while_connected(request, work()))

    app = web.Application()
    app.router.add_get("/", handle)
    server = TestServer(app)
    await server.start_server()
    async with ClientSession() as session:
        async with session.get(server.make_url("/")) as response:
            assert (response.status, await response.text()) == (200, "done")
        async with session.get(server.make_url("/?fail=1")) as response:
            assert response.status == 409
    await server.close()
