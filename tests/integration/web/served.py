"""A web replica in the test's process, called over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, WSServerHandshakeError
from aiohttp.test_utils import BaseTestServer, TestServer
from aiohttp.web import AppRunner

from processors.storage.keys import OWNER_KEY
from streams.settings import Settings
from tests.conftest import eventually
from tests.installations import adopt
from web.app import make_app
from web.server import SERVER_OPTIONS
from web.services import SERVICES, Services

ADMIN = "admin-token"
TOKENS = json.dumps(
    [
        {"token": "anna-edits", "owner": "anna", "role": "editor"},
        {"token": "anna-views", "owner": "anna", "role": "viewer"},
        {"token": "bert-edits", "owner": "bert", "role": "editor"},
    ]
)
ENVIRON = {
    "KINOLOG_AUTH__TOKEN": ADMIN,
    "KINOLOG_AUTH__TOKENS": TOKENS,
    "KINOLOG_PARTITIONS": "2",
    "KINOLOG_STORE__OWNER_PREFIXES": '{"*": ["media", "attachments"]}',
}


class Site:
    """A replica and a client with a token."""

    def __init__(self, server: BaseTestServer, session: ClientSession, parts: Services) -> None:
        self.server, self.session, self.parts = server, session, parts

    async def ask(self, method: str, path: str, token: str | None = ADMIN, **options: Any) -> tuple[int, Any]:
        """Send a request, to a path or a URL of a response; its status, and the body, parsed if it is JSON."""
        url = path if "://" in path else self.server.make_url(path)
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        async with self.session.request(method, url, headers=headers, **options) as answer:
            return answer.status, (await answer.json() if "json" in answer.content_type else await answer.read())

    async def first_frame(self, path: str, token: str | None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """200 and the text of a live connection's first frame; otherwise the status and the body, if it is known."""
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        url = self.server.make_url(path)
        async with asyncio.timeout(60):
            if "/sse" in path:
                async with self.session.get(url, headers=headers) as answer:
                    if answer.status != 200:
                        return answer.status, await answer.text()
                    async for line in answer.content:
                        if line.startswith(b"data: "):
                            return 200, line.decode()
            try:
                async with self.session.ws_connect(url, headers=headers) as live:
                    return 200, await live.receive_str()
            except WSServerHandshakeError as refused:
                return refused.status, ""


class Server(TestServer):
    """A server with the behaviour of `kinolog web`: a handler whose client disconnects is not cancelled."""

    async def _make_runner(self, **options: Any) -> AppRunner:
        return AppRunner(self.app, **options | {"handler_cancellation": False})


@asynccontextmanager
async def served(server: TestServer) -> AsyncIterator[None]:
    """Start the server with the options of `kinolog web`."""
    await server.start_server(**SERVER_OPTIONS)
    try:
        yield
    finally:
        await server.close()


def stored(settings: Settings) -> list[str]:
    """Every file and folder of the store, staging included, but its owner mark."""
    root = settings.data_path / "store"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.name not in (".staging", OWNER_KEY))


@asynccontextmanager
async def serve(settings: Settings, *, ready: bool = True) -> AsyncIterator[Site]:
    """A replica in this process; `ready`: it has caught up, can write, knows the time, and its store is there."""
    if ready:
        await adopt(settings)
    app = make_app(settings)
    server = Server(app)
    async with served(server), ClientSession() as session:
        site = Site(server, session, app[SERVICES])
        if ready:
            await eventually(site.parts.position.caught_up.is_set, 60)
            await eventually(lambda: site.parts.commands.is_connected, 60)
            await eventually(lambda: site.parts.clock.known, 60)
            await eventually(lambda: not site.parts.store_watch.troubles(), 60)
        yield site
